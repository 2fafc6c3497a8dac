"""The notebooks run from start to end with a small preset, are stored without outputs, and have pages of their own."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import boxwright
from boxwright.config import Hyperparameters, run_fields
from docs.generator.notebooks import PAGES, blocks, notebooks, read, run

# A model that trains in seconds and learns nothing, which the gate is told to let through.
SMALL = {
    "IMAGES": 12,
    "MODEL_ID": "tiny",
    "HYPERPARAMETERS": {"epochs": 1, "batch_size": 4, "image_size": 96},
    "SETTINGS": {"gate_min_ap50": 0, "gate_classes_told_apart": False, "export_formats": "saved_model"},
}


def outputs(notebook: Any, start: str) -> list[Any]:
    """Of the cell that begins with a text."""
    return next(cell.outputs for cell in notebook.cells if cell.source.startswith(start))


def printed(notebook: Any, start: str) -> str:
    return "".join(output["text"] for output in outputs(notebook, start) if output["output_type"] == "stream")


def kinds(notebook: Any, start: str) -> set[str]:
    return {kind for output in outputs(notebook, start) for kind in output.get("data", {})}


def test_there_are_notebooks() -> None:
    assert [path.stem for path in notebooks()] == ["fine_tune_a_detector", "migrate_from_sagemaker"]


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_notebooks_are_stored_without_outputs(path: Path) -> None:
    for cell in read(path).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None, cell.source


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_the_page_of_a_notebook_is_of_the_notebook_as_it_is(path: Path) -> None:
    page, place = (PAGES / f"{path.stem}.md").read_text("utf-8"), 0
    for block in blocks(read(path)):
        found = page.find(block, place)
        assert found >= 0, f"docs/notebooks/{path.stem}.md is of another notebook: `make notebooks` writes it:\n{block}"
        place = found + len(block)


def test_a_detector_is_fine_tuned_from_start_to_end(tmp_path: Path) -> None:
    ran = run(read(notebooks()[0]), tmp_path, SMALL)
    assert "image/png" in kinds(ran, "first = labels") & kinds(ran, "detector = ") & kinds(ran, "Picture(")
    assert "image/jpeg" in kinds(ran, "gallery = ")
    assert "text/html" in kinds(ran, "validation = ") & kinds(ran, "run.report") & kinds(ran, "better = ")
    assert "not usable" in printed(ran, "wrong = ")
    assert "registered" in str(outputs(ran, "run = ")) and "registered" in str(outputs(ran, "second = "))
    assert "bolts {'latest': 2" in printed(ran, "registry = ") or "'champion'" in printed(ran, "registry = ")
    assert "README.md" in str(outputs(ran, "exported = "))


@pytest.fixture(scope="module")
def migration() -> Any:
    return read(notebooks()[1])


def value(notebook: Any, name: str) -> Any:
    """What the cell that begins with a name assigns to it."""
    source = next(cell.source for cell in notebook.cells if cell.source.startswith(f"{name} = "))
    return ast.literal_eval(ast.parse(source).body[0].value)  # type: ignore[attr-defined]


def test_what_takes_the_place_of_an_argument_is_there(migration: Any) -> None:
    for theirs, ours, _ in value(migration, "ARGUMENTS"):
        found = re.fullmatch(r"boxwright\.([\w.]+)(?:\((.*)\))?", ours)
        assert found, ours
        thing: Any = boxwright
        for name in found[1].split("."):
            thing = getattr(thing, name)
        for argument in re.findall(r"(\w+)=", found[2] or ""):
            known = set(inspect.signature(thing).parameters) | (set(run_fields()) if found[1] == "train" else set())
            assert argument in known, f"{theirs}: {ours}"


def test_the_managed_defaults_are_those_of_the_settings(migration: Any) -> None:
    managed = value(migration, "MANAGED")
    fields = Hyperparameters.model_fields
    assert list(managed) == list(fields)[: len(managed)] and len(managed) == 15
    assert managed == {name: fields[name].default for name in managed}
    beside = value(migration, "BESIDE")
    assert beside == {name: fields[name].default for name in beside} and not set(beside) & set(managed)


def test_a_job_and_its_server_are_what_the_sample_notebook_reads(tmp_path: Path) -> None:
    settings = {"export_formats": "saved_model"}
    ran = run(read(notebooks()[1]), tmp_path, SMALL | {"SETTINGS": settings})
    assert "0 ['label_map.json'" in printed(ran, "job = ") and "model.weights.h5" in printed(ran, "job = ")
    (found,) = (output["data"]["text/plain"] for output in outputs(ran, "METRICS = "))
    told = ast.literal_eval(found)
    assert all(len(numbers) == 1 and float(numbers[0]) > 0 for numbers in told.values()), told
    assert set(told) == {"validation:localization_loss", "validation:classification_loss", "training:loss"}
    served = printed(ran, "server = ")
    assert "xmin,xmax,ymin,ymax" in served and "xmin,ymin,xmax,ymax" in served
