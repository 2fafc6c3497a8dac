"""Exports that a machine keeps: made once, not tried again when they failed, fetched from a run, removed."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from boxwright.config import Settings
from boxwright.errors import DataError, StorageError, UsageError
from boxwright.evaluation import Difference, FormatRecord, FormatsSummary, MeasuredFormat, ModelFigures
from boxwright.exporting import kept, published
from boxwright.exporting.facts import Choice, Differences, ExportFacts, Fitting
from boxwright.exporting.formats import format_named, parse_name
from boxwright.exporting.kept import UNUSED_DAYS, FailedExport, kept_export
from boxwright.exporting.published import published_exports
from boxwright.model import MODEL_FILE, WEIGHTS_FILE
from boxwright.storage import sha256_of

CARD = {"model_id": "tiny", "image_size": 64, "classes": ["a", "b"], "category_ids": [1, 2]}


@pytest.fixture
def model(tmp_path: Path, home: Settings) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / MODEL_FILE).write_text(json.dumps(CARD))
    (folder / WEIGHTS_FILE).write_bytes(b"numbers")
    return folder


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what is exported, one for each conversion."""
    names: list[str] = []

    def export(_: Path, folder: Path, name: str, *__: Any) -> None:
        names.append(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metadata.json").write_text("{}")

    monkeypatch.setattr(kept, "export_model", export)
    return names


def test_the_grammar_of_names_is_that_of_the_settings() -> None:
    assert parse_name("litert") == (format_named("litert"), "float32")
    assert parse_name("openvino:float16") == (format_named("openvino"), "float16")
    for wrong in ("litert:", "litert:int4", "saved_model", "tflite"):
        with pytest.raises(UsageError, match="expected .*litert"):
            parse_name(wrong)


def test_what_failed_its_check_is_not_made_again_unless_somebody_asks(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def refuse(_: Path, folder: Path, name: str, *__: Any) -> None:
        tries.append(name)
        raise DataError("it answers otherwise")

    monkeypatch.setattr(kept, "export_model", refuse)
    with pytest.raises(DataError, match="otherwise"):
        kept_export(model, "openvino", "a model", again=False)
    with pytest.raises(DataError, match=r"otherwise \(tried before; --runtime openvino tries it again\)"):
        kept_export(model, "openvino", "a model", again=False)
    assert tries == ["openvino"]
    with pytest.raises(DataError, match="otherwise$"):
        kept_export(model, "openvino", "a model")
    assert tries == ["openvino"] * 2


def test_a_machine_that_lacks_memory_once_tries_again(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from boxwright.errors import TrainingError

    def killed(*_: Any) -> None:
        raise TrainingError("ended by signal 9")

    monkeypatch.setattr(kept, "export_model", killed)
    for _ in range(2):
        with pytest.raises(TrainingError):
            kept_export(model, "litert", "a model", again=False)


def test_exports_that_nobody_uses_are_removed_when_another_is_made(
    model: Path, made: list[str], home: Settings
) -> None:
    folder = kept_export(model, "litert", "a model")
    old = folder.parent
    long_ago = time.time() - (UNUSED_DAYS + 1) * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    kept_export(model, "litert", "a model")  # it is used again
    other = home.home / "other"
    shutil.copytree(model, other)
    (other / WEIGHTS_FILE).write_bytes(b"other numbers")
    kept_export(other, "litert", "another")
    assert folder.exists()
    os.utime(old, (long_ago, long_ago))
    kept_export(other, "openvino", "another")
    assert not old.exists() and made == ["litert", "litert", "openvino"]


def facts(**changed: Any) -> ExportFacts:
    return ExportFacts(
        **{
            "format": "litert", "precision": "float32", "file": "model.tflite", "model_id": "tiny", "reference": "it",
            "weights": "", "classes": ("a", "b"), "category_ids": (1, 2), "threshold": 0.5,
            "input": Fitting(image_size=64, keep_aspect=True, fill=(0, 0, 0), antialias=True), "outputs": "candidates",
            "choice": Choice(nms="none", iou_threshold=0.5, score_threshold=0.1, candidates=None, needs_area=False,
                             max_detections=10),
            "differences": Differences(pictures=1, boxes=0, scores=0, tolerance=0), "code_version": "1",
        } | changed
    )  # fmt: skip


def record(name: str, milliseconds: float, status: str = "kept") -> FormatRecord:
    same = Difference(champion=0.5, candidate=0.5, difference=0.0, low=None, high=None, better=None)
    measured = MeasuredFormat(
        AP=0.5, AP50=0.5, per_class={}, difference=same, network_ms=1, latency_ms=milliseconds, latency_p95_ms=1,
        threads=1, size_bytes=1,
    )  # fmt: skip
    return FormatRecord(name=name, status=status, folder=f"formats/{name.replace(':', '-')}", measured=measured)


@pytest.fixture
def run(tmp_path: Path, model: Path) -> Path:
    """What a run has published: four formats, of which one is of other weights and one was dropped."""
    beside = tmp_path / "output"
    figures = ModelFigures(AP=0.5, AP50=0.5, network_ms=1, latency_ms=1, size_bytes=1)
    records = (record("litert:float32", 40), record("openvino:float16", 15), record("litert:int8", 20),
               record("onnx:float32", 1, "dropped"))  # fmt: skip
    beside.mkdir()
    FormatsSummary(split="test", images=1, max_loss=0.01, model=figures, formats=records).write(beside)
    for one in records:
        folder = beside / str(one.folder)
        folder.mkdir(parents=True)
        (folder / "model.file").write_bytes(b"a network")
        name, precision = one.name.split(":")
        weights = "of others" if one.name == "litert:int8" else sha256_of(model / WEIGHTS_FILE)
        facts(format=name, precision=precision, weights=weights).write(folder)
    return beside / "model.tar.gz"


def test_what_a_run_kept_is_taken_fastest_first_and_fetched_once(
    run: Path, model: Path, home: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", "boxwright"):
        found = list(published_exports(model, str(run)))
    assert [name for name, _ in found] == ["openvino:float16", "litert:float32"]
    assert "litert:int8" in caplog.text and "other weights" in caplog.text
    for _, folder in found:
        assert folder.is_relative_to(home.home / "exports") and (folder / "model.file").read_bytes() == b"a network"
        assert ExportFacts.read(folder).classes == ("a", "b")
    monkeypatch.setattr(published, "download_file", lambda *_: pytest.fail("it is there"))
    assert next(published_exports(model, str(run)))[1] == found[0][1]


def test_a_model_without_formats_beside_it_has_none(model: Path, tmp_path: Path) -> None:
    assert list(published_exports(model, str(tmp_path / "nothing" / "model.tar.gz"))) == []
    assert list(published_exports(model, str(model))) == []


def test_a_storage_that_does_not_answer_is_told(
    model: Path, run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def silent(_: str) -> FormatsSummary:
        raise StorageError("no answer")

    monkeypatch.setattr(published.FormatsSummary, "read", silent)
    with caplog.at_level("WARNING", "boxwright"):
        assert list(published_exports(model, str(run))) == []
    assert "are not looked at: no answer" in caplog.text


def test_a_failed_export_tells_why(tmp_path: Path) -> None:
    FailedExport(reason="so").write(tmp_path)
    assert FailedExport.read(tmp_path).reason == "so"
