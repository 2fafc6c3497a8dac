"""`boxwright evaluate` and `compare` as a user meets them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tinyset
from finder import write_dataset

from boxwright.cli import app as cli
from boxwright.evaluation.files import PUBLISHED
from boxwright.model.store import MODEL_FILE, WEIGHTS_FILE, ModelCard, build_detector, save_detector
from boxwright.packaging.archive import pack


@pytest.fixture
def boxwright(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command line in this process; what it prints."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["boxwright", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        assert not ended.value.code, printed.err
        return printed.out

    return run


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of fresh weights."""
    folder = tmp_path_factory.mktemp("package")
    categories = tinyset.document()["categories"]
    names, ids = (tuple(one[key] for one in categories) for key in ("name", "id"))
    card = ModelCard(model_id="speck", image_size=64, classes=names, category_ids=ids)
    (folder / "content").mkdir()
    save_detector(build_detector(card), card, folder / "content")
    assert {path.name for path in (folder / "content").iterdir()} == {MODEL_FILE, WEIGHTS_FILE}
    pack(folder / "content", folder / "model.tar.gz")
    return folder / "model.tar.gz"


def test_a_model_is_measured_and_its_report_kept(archive: Path, tmp_path: Path, boxwright: Callable[..., str]) -> None:
    dataset, report = tinyset.write(tmp_path / "set"), tmp_path / "report"
    printed = boxwright("evaluate", "--model", archive, "--dataset", dataset, "--report", report, "--json")
    assert json.loads(printed) == json.loads((report / "metrics.json").read_text())
    assert json.loads(printed)["metrics"]["images"] == 3
    left = {path.name for path in report.iterdir()}
    assert left <= set(PUBLISHED) and {"report.html", "detections.json", "gallery"} <= left
    named = json.loads((report / "gallery.json").read_text())
    assert named and len(list((report / "gallery").iterdir())) == 3


def test_two_models_are_compared_again_into_the_same_folder(
    archive: Path, tmp_path: Path, boxwright: Callable[..., str]
) -> None:
    dataset, report = tinyset.write(tmp_path / "set"), tmp_path / "report"
    for _ in range(2):
        printed = boxwright("compare", archive, archive, "--dataset", dataset, "--report", report, "--json")
    assert json.loads(printed)["comparison"]["metrics"]["AP"]["difference"] == 0
    assert (report / "champion_detections.json").read_text() == (report / "detections.json").read_text()


def test_a_models_formats_are_held_against_it(finder: Path, tmp_path: Path, boxwright: Callable[..., str]) -> None:
    dataset = write_dataset(tmp_path / "set")
    printed = boxwright("benchmark", finder, "--dataset", dataset, "--format", "litert", "--json")
    found = json.loads(printed)
    (litert,) = found["formats"]["formats"]
    assert found["model"] == str(finder) and found["machine"] and found["formats"]["images"] == 4
    assert (litert["name"], litert["measured"]["difference"]["difference"]) == ("litert:float32", 0)
    assert litert["measured"]["AP"] == found["formats"]["model"]["AP"] > 0.99
    assert litert["measured"]["latency_ms"] > 0 and found["formats"]["model"]["latency_ms"] > 0
