"""The two validating steps, as the runner runs them: what they publish, good or bad. Needs no TensorFlow."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from boxwright.config import RunConfig, parse_config
from boxwright.config.run_info import new_run
from boxwright.dataset.sample.generate import generate_sample
from boxwright.errors import DataError
from boxwright.pipeline.runner import run_node

RUN = new_run("run")
PAGE, REPORT = "validation_report.html", "validation_report.json"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "sample"
    generate_sample(folder, images=12, seed=1)
    return folder


@pytest.fixture
def dataset(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path / "home"))
    shutil.copytree(sample / "training", tmp_path / "set")
    return tmp_path / "set"


def config(dataset: Path, **validation: Any) -> RunConfig:
    values = {"training": str(dataset), "output": str(dataset.parent / "out"), "model_id": "tiny"}
    return parse_config(values | {"data_validation": validation})


def published(dataset: Path) -> Path:
    return dataset.parent / "out" / "run" / "output"


def break_box(dataset: Path) -> None:
    content = json.loads((dataset / "annotations.json").read_text())
    xmin, ymin, _, _ = content["annotations"][1]["bbox"]
    content["annotations"][1]["bbox"] = [xmin, ymin, xmin, ymin]
    (dataset / "annotations.json").write_text(json.dumps(content))


def test_report_page_and_docs_lie_beside_the_output_and_are_linked(dataset: Path) -> None:
    summary = run_node(config(dataset), RUN, "validate_annotations")
    assert summary["report"] == str(published(dataset) / PAGE)
    early = html.unescape((published(dataset) / PAGE).read_text())
    assert "can be trained on" in early and "at the model's input of 128 px" in early
    assert json.loads((published(dataset) / REPORT).read_text())["fingerprint"] is None
    assert (published(dataset) / "great_expectations.json").exists()
    assert (published(dataset) / "data_docs" / "index.html").exists()

    later = run_node(config(dataset), RUN, "download_dataset")
    report = json.loads((published(dataset) / REPORT).read_text())
    assert report["fingerprint"] == later["fingerprint"] in (published(dataset) / PAGE).read_text()
    assert report["rules"]["image_undecodable"]["checked"] == later["images"] > 0
    assert report["rules"]["box_without_area"]["checked"] == later["boxes"]  # the first step's part is still there
    assert later["report"] == summary["report"]


def test_bad_annotations_leave_their_report_and_the_error_names_it(dataset: Path) -> None:
    break_box(dataset)
    with pytest.raises(DataError, match=r"annotations\[1\].*box_without_area.*see .*/out/run/output/validation_report"):
        run_node(config(dataset), RUN, "validate_annotations")
    page = (published(dataset) / PAGE).read_text()
    assert "not usable as it is: 1 error" in page and "the image was not read" in page
    assert json.loads((published(dataset) / REPORT).read_text())["ok"] is False


def test_a_bad_image_leaves_its_report_too(dataset: Path) -> None:
    next((dataset / "images").iterdir()).write_bytes(b"broken")
    run_node(config(dataset), RUN, "validate_annotations")
    with pytest.raises(DataError, match=r"image_undecodable.*see .*/validation_report.html"):
        run_node(config(dataset), RUN, "download_dataset")
    assert "image_undecodable" in (published(dataset) / PAGE).read_text()


def test_both_kinds_of_bad_records_are_dropped_and_drawn(dataset: Path) -> None:
    break_box(dataset)
    content = json.loads((dataset / "annotations.json").read_text())
    owner = content["annotations"][1]["image_id"]
    bad = next(i for i, image in enumerate(content["images"]) if image["id"] != owner)
    (dataset / "images" / content["images"][bad]["file_name"]).write_bytes(b"broken")
    run = config(dataset, on_invalid="drop", max_drop_share=0.5)
    run_node(run, RUN, "validate_annotations")
    later = run_node(run, RUN, "download_dataset")
    assert later["images"] == len(content["images"]) - 1
    report = json.loads((published(dataset) / REPORT).read_text())
    dropped = {(one["list"], one["index"]) for one in report["dropped"]}
    assert {("annotations", 1), ("images", bad)} <= dropped
    assert later["boxes"] == len(content["annotations"]) - sum(kind == "annotations" for kind, _ in dropped)
    page = (published(dataset) / PAGE).read_text()
    assert "can be trained on" in page and page.count("(declared size; the image was not read)") == 1
