"""An export of a model that sees something definite, measured beside it on scenes that it is right about."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from finder import LABELS, write_dataset

from boxwright.config import EvaluationConfig, parse_config
from boxwright.errors import DataError, StorageError, UsageError
from boxwright.evaluation.evaluating import evaluate
from boxwright.evaluation.format_records import FormatsSummary
from boxwright.exporting import formats, run_formats
from boxwright.exporting.answering import answer_split, main
from boxwright.exporting.facts import ExportFacts
from boxwright.exporting.measuring import MeasuredModel
from boxwright.exporting.network import ExportNetwork
from boxwright.exporting.process import write_artefact
from boxwright.exporting.run_formats import ExportedModel, formats_left_out, why_dropped, write_formats
from boxwright.registry.measuring import EXAMPLES, examples_of

IMAGES = 4


@dataclass(frozen=True)
class Measured:
    examples: Path
    evaluation: Path
    export: Path


@pytest.fixture(scope="module")
def measured(finder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """The finder's evaluation and its export."""
    folder = tmp_path_factory.mktemp("measured")
    for name in ("evaluation", "litert-float32"):
        (folder / name).mkdir()
    write_artefact(ExportNetwork(finder), finder, folder / "litert-float32", "litert", "float32", "models:/finder/1")
    dataset = write_dataset(folder / "set", IMAGES)
    with examples_of(str(dataset), "annotations.json") as (built, _):
        copytree(built / EXAMPLES, folder / "examples")
    no_pictures = EvaluationConfig(gallery_images=0, worst_images=0)
    evaluate(folder / "examples", finder, folder / "evaluation", no_pictures)
    yield Measured(folder / "examples", folder / "evaluation", folder / "litert-float32")


@pytest.fixture
def model(measured: Measured) -> MeasuredModel:
    return MeasuredModel(measured.examples, measured.evaluation)


@pytest.fixture
def source(finder: Path, model: MeasuredModel) -> ExportedModel:
    return ExportedModel(finder, "models:/finder/1", model)


def test_an_export_has_the_models_own_metrics(measured: Measured, model: MeasuredModel) -> None:
    found = model.measure(measured.export, threads=1)
    assert found.AP == model.figures.AP == pytest.approx(1) and found.AP50 == model.figures.AP50
    assert found.difference.difference == found.loss == 0 and (found.difference.low, found.difference.high) == (0, 0)
    assert {name: one.candidate for name, one in found.per_class.items()} == dict.fromkeys(LABELS, pytest.approx(1))
    assert 0 < found.network_ms < found.latency_ms <= found.latency_p95_ms
    assert model.figures.network_ms and model.figures.latency_ms
    assert found.size_bytes == sum(path.stat().st_size for path in measured.export.iterdir())
    # Of a process of its own: this one has TensorFlow.
    assert 20e6 < found.memory_bytes < 1e9 and found.threads == 1
    assert model.images == IMAGES and not found.not_finite_images


def test_an_export_that_names_classes_wrongly_has_lost_all(
    measured: Measured, model: MeasuredModel, tmp_path: Path
) -> None:
    copytree(measured.export, tmp_path / "export")
    facts = ExportFacts.read(measured.export)
    facts.model_copy(update={"classes": facts.classes[::-1]}).write(tmp_path / "export")
    found = model.measure(tmp_path / "export")
    assert found.AP == 0 and found.loss == pytest.approx(1) and found.difference.high < -0.9
    assert why_dropped(found, 1) == ""
    said = why_dropped(found, 0.01)
    assert said.startswith("AP 0.0000 beside 1.0000 of the model: 1.0000 lost (95 % interval of the difference -1.0")
    assert said.endswith("gate_max_export_loss is 0.01")


def test_what_cannot_be_measured_is_not_kept(measured: Measured, model: MeasuredModel) -> None:
    found = model.measure(measured.export)
    nothing = found.difference.model_copy(update={"difference": None})
    assert "no boxes" in why_dropped(found.model_copy(update={"difference": nothing}), 0.01)
    assert "NaN or infinity on 2 images" in why_dropped(found.model_copy(update={"not_finite_images": 2}), 0.01)


def test_the_reason_of_an_export_that_does_not_run_is_told(measured: Measured, tmp_path: Path) -> None:
    facts = ExportFacts.read(measured.export)
    facts.write(tmp_path)
    (tmp_path / facts.file).write_bytes(b"no network")
    with pytest.raises(DataError, match="litert cannot load it"):
        answer_split(tmp_path, measured.examples, "test")


def test_a_set_without_the_models_classes_is_refused(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copytree(measured.export, tmp_path / "export")
    facts = ExportFacts.read(measured.export).model_copy(update={"classes": ("a", "b")})
    facts.write(tmp_path / "export")
    split = MeasuredModel(measured.examples, measured.evaluation).summary.split
    arguments = [tmp_path / "export", measured.examples, split, 1, tmp_path]
    monkeypatch.setattr(sys, "argv", ["answering", *map(str, arguments)])
    assert main() == DataError.exit_code
    assert "none in common" in (tmp_path / "error.json").read_text()


def test_formats_are_kept_dropped_and_left_out_each_with_its_reason(
    measured: Measured, source: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(model_dir: Path, out_dir: Path, name: str, precision: str, reference: str, calibration: None) -> None:
        if precision == "float16":
            raise DataError("it answers otherwise")
        copytree(measured.export, out_dir)
        if name == "openvino":
            facts = ExportFacts.read(measured.export)
            facts.model_copy(update={"classes": facts.classes[::-1]}).write(out_dir)

    monkeypatch.setattr(run_formats, "export_model", write)
    names = ["litert:float32", "litert:float16", "openvino:float32", "onnx:float32"]
    summary = write_formats(names, source, tmp_path, 0.01, {"onnx:float32": "not installed"})
    assert [one.status for one in summary.formats] == ["kept", "dropped", "dropped", "left out"]
    assert [one.reason.partition(" beside")[0] for one in summary.formats] == [
        "", "it answers otherwise", "AP 0.0000", "not installed",
    ]  # fmt: skip
    assert [one.name for one in summary.kept] == ["litert:float32"]
    assert [path.name for path in (tmp_path / "formats").iterdir()] == ["litert-float32"]
    summary.write(tmp_path)
    assert FormatsSummary.read(tmp_path) == summary


def test_whole_numbers_retreat_until_they_lose_little_enough(
    measured: Measured, source: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = []

    def write(*given: Any) -> None:
        out_dir, calibration = given[1], given[-1]
        levels.append((calibration.folder, calibration.level))
        if calibration.level == 0:
            raise DataError("scores differ by up to 0.5")
        copytree(measured.export, out_dir)
        if calibration.level == 1:
            facts = ExportFacts.read(measured.export)
            facts.model_copy(update={"classes": facts.classes[::-1]}).write(out_dir)

    monkeypatch.setattr(run_formats, "export_model", write)
    calibrated = replace(source, calibration=tmp_path / "images")
    (found,) = write_formats(["litert:int8"], calibrated, tmp_path, 0.01, {}).formats
    assert found.status == "kept" and found.measured is not None and found.measured.loss == 0
    assert levels == [(tmp_path / "images", level) for level in range(3)]


def test_a_full_disk_drops_no_format(source: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(run_formats, "export_model", write)
    with pytest.raises(StorageError, match="the disk is full"):
        write_formats(["onnx:float32"], source, tmp_path, 0.01, {})


def test_a_format_that_a_run_asks_for_and_that_is_not_installed_ends_it_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = {"training": "/data", "output": "/out"}
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"^export_formats: onnx needs onnxruntime.* pip install 'boxwright\["):
        formats_left_out(parse_config(places | {"export": {"formats": "saved_model,onnx"}}))
    by_default = formats_left_out(parse_config(places))
    assert "pip install" in by_default["litert:float32"]
    assert formats_left_out(parse_config(places | {"export": {"formats": "saved_model"}})) == {}


def test_a_family_that_no_converter_reads_is_told_before_the_training() -> None:
    dfine = {"training": "/data", "output": "/out", "model_id": "dfine-nano"}
    assert "cannot be exported" in formats_left_out(parse_config(dfine))["litert:float32"]
    with pytest.raises(UsageError, match="export_formats: dfine.* cannot be exported"):
        formats_left_out(parse_config(dfine | {"export": {"formats": ["litert", "saved_model"]}}))
