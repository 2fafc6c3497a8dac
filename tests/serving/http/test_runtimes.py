"""A server whose network runs in LiteRT: the same answers, without TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from finder import encoded, scene
from served import Served, serving

import boxwright
from boxwright.errors import DataError, UsageError
from boxwright.exporting import kept
from boxwright.exporting.kept import kept_export
from boxwright.registry.open_model import resolve_model
from boxwright.serving.engine.loading import load_predictor
from boxwright.serving.engine.picture import Picture

PICTURE = Picture(encoded(scene(), "PNG"), 200, 100)


@pytest.fixture(scope="module")
def home(finder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home that has the model's export."""
    with pytest.MonkeyPatch.context() as patched:
        folder = tmp_path_factory.mktemp("home")
        patched.setenv("BOXWRIGHT_HOME", str(folder))
        kept_export(finder, "litert", "finder")
        yield folder


@pytest.fixture(scope="module")
def server(home: Path, finder: Path) -> Iterator[Served]:
    with serving("--model", str(finder), "--runtime", "litert", "--threads", "1") as served:
        yield served


def test_the_answer_is_that_of_tensorflow(server: Served) -> None:
    with server.client() as client:
        headers = {"Content-Type": "application/x-image", "Accept": "application/json;verbose"}
        told = client.post("/invocations", content=encoded(scene()), headers=headers).json()
    assert told["scores"] == pytest.approx([0.9, 0.25])
    assert told["normalized_boxes"][0] == pytest.approx([0.1, 0.4, 0.1, 0.4], abs=0.01)
    assert told["tensorflow_model_output"]["num_detections"] == [2]


def test_tensorflow_is_not_loaded(server: Served) -> None:
    loaded = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "libtensorflow_cc" not in loaded and "ai_edge_litert" in loaded


def test_a_broken_image_is_told_as_ever(server: Served) -> None:
    data = encoded(scene())
    with server.client() as client:
        headers = {"Content-Type": "application/x-image"}
        answer = client.post("/invocations", content=data[: len(data) // 2], headers=headers)
    assert answer.status_code == 400 and "broken or truncated" in answer.text


def test_an_export_is_made_once(home: Path, finder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "export_model", lambda *_: pytest.fail("it is there"))
    assert kept_export(finder, "litert", "finder").is_relative_to(home / "exports")


def test_a_model_that_does_not_see_its_sample_is_refused(
    home: Path, finder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finder import export_finder, write_facts

    export_finder(tmp_path, red_score=0.4)
    write_facts(tmp_path)
    # The export of another model.
    made = kept_export(finder, "litert", "finder")
    monkeypatch.setattr("boxwright.serving.engine.loading.kept_export", lambda *_: made)
    with pytest.raises(DataError, match="it is not the model that was evaluated"):
        load_predictor(resolve_model(str(tmp_path)), runtime="litert")


def test_a_saved_model_runs_in_tensorflow_alone(finder: Path) -> None:
    with pytest.raises(UsageError, match="runtime=litert: a SavedModel runs in TensorFlow"):
        load_predictor(resolve_model(str(finder)), trust_saved_model=True, runtime="litert")


def test_auto_goes_on_to_what_takes_the_model_and_says_so(
    finder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(folder: Path, name: str, reference: str, again: bool = True) -> Path:
        raise UsageError(f"{reference} cannot be exported to {name}")

    monkeypatch.setattr("boxwright.serving.engine.loading.kept_export", refuse)
    with caplog.at_level("INFO", "boxwright"):
        (found,) = load_predictor(resolve_model(str(finder)), runtime="auto").predict([PICTURE])
    assert found.scores.tolist() == pytest.approx([0.9, 0.25])
    told = [record.getMessage().removeprefix(f"{finder} ") for record in caplog.records]
    assert told[-3:] == [
        f"does not run in openvino: {finder} cannot be exported to openvino",
        f"does not run in litert: {finder} cannot be exported to litert",
        "runs in tensorflow",
    ]
    with pytest.raises(UsageError, match="cannot be exported to litert"):
        load_predictor(resolve_model(str(finder)), runtime="litert")


def test_python_code_chooses_a_runtime_and_exports(home: Path, finder: Path, tmp_path: Path) -> None:
    detector = boxwright.Detector(finder, runtime="litert", threads=1)
    assert detector.detect(scene(), threshold=0).scores.tolist() == pytest.approx([0.9, 0.25])
    for precision in ("float16", "dynamic_int8"):
        folder = detector.export(tmp_path / "exported", "litert", precision)
        names = {path.name for path in folder.iterdir()}
        assert {"README.md", "metadata.json", "model.tflite", "label_map.json"} <= names
        assert json.loads((folder / "metadata.json").read_text())["precision"] == precision
    with pytest.raises(UsageError, match="precision=int4: expected float32 or float16"):
        detector.export(tmp_path / "exported", "litert", "int4")
    with pytest.raises(UsageError, match="runtime"):
        boxwright.Detector(finder, runtime="onnx")  # type: ignore[arg-type]
