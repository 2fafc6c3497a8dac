"""`boxwright.train` and the other questions of the Python interface."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from finder import encoded, scene

import boxwright
from boxwright.config import Settings
from boxwright.dataset.sample import generate_sample
from boxwright.errors import DataError, UsageError

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY.joinpath("docs", "python.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
STARTING = ("boxwright.train(", "boxwright.resume(")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "set"
    generate_sample(folder, images=12, seed=1)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "home"


def test_the_package_offers_its_public_names_alone_and_loads_nothing_for_them() -> None:
    code = "from boxwright import *; import sys; print(sorted(n for n in dir() if n[0] != '_' and n != 'sys')); "
    code += "import boxwright; print(any(m in sys.modules for m in ('tensorflow', 'keras', 'mlflow', 'tfx')))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == [str(sorted(boxwright.__all__)), "False"]
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        boxwright.trian  # type: ignore[attr-defined]  # noqa: B018


def test_the_documentation_tells_of_every_name() -> None:
    assert [name for name in boxwright.__all__ if f"boxwright.{name}" not in PAGE] == []


def test_every_name_is_in_an_example_that_a_test_runs() -> None:
    """A block of the page, or a cell of a notebook, which `tests/notebooks` runs."""
    cells = [path.read_text() for path in REPOSITORY.joinpath("notebooks").glob("*.ipynb")]
    shown = "\n".join([*(block for block in BLOCKS if STARTING[0] not in block), *cells])
    returned = {"Run": "boxwright.train(", "Detections": ".detect(", "Validation": "boxwright.validate("}
    missing = [name for name in boxwright.__all__ if returned.get(name, f"boxwright.{name}") not in shown]
    assert missing == []


def test_what_the_documentation_shows_runs(
    home: Path, finder: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but what starts a training, which lint holds against the types, and a notebook and other tests run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.sqlite")
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg"):
        (tmp_path / name).write_bytes(encoded(scene()))
    (tmp_path / "cells").symlink_to(sample)
    shown = [block for block in BLOCKS if not any(word in block for word in STARTING)]
    assert len(shown) == len(BLOCKS) - 2 == 4
    names: dict[str, Any] = {}
    for block in shown:
        exec(block.replace("models:/cells@champion", str(finder)), names)
    assert names["found"].labels == ["red thing"] and (tmp_path / "drawn.png").is_file()
    assert names["validation"].usable and names["registry"].models() == ()


def test_a_run_that_fails_raises_the_error_of_its_kind_and_keeps_its_log(home: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run python: .*nowhere"):
        boxwright.train(tmp_path / "nowhere", model_id="tiny", run_id="python")
    (block,) = (block for block in BLOCKS if "boxwright.resume(" in block)
    with pytest.raises(DataError, match="run python: .*nowhere"):
        exec(block, {})
    run = boxwright.resume("python", wait=False)
    with pytest.raises(DataError, match="nowhere"):
        run.wait()
    with pytest.raises(UsageError, match="run_id: expected a text, got LocalProcess .*; take its `.run_id`"):
        boxwright.resume(run)  # type: ignore[arg-type]
    assert run.status == "failed" and repr(run) == "<Run python: failed>"
    assert "step validate_annotations" in run.logs() and "Traceback" not in run.logs()
    with pytest.raises(DataError, match="nowhere"):
        run.model  # noqa: B018
    assert Settings.from_environment().home == home


def test_the_error_of_a_run_is_found_where_a_notebook_asks_for_colours(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):  # as a kernel does
        monkeypatch.setenv(name, "1")
    with pytest.raises(DataError, match="run coloured: .*nowhere") as raised:
        boxwright.train(tmp_path / "nowhere", model_id="tiny", run_id="coloured")
    assert "\x1b" not in str(raised.value)


def test_wrong_settings_start_nothing(home: Path, tmp_path: Path) -> None:
    for settings, said in (
        ({"hyperparameters": {"epoch": 3}}, r"epoch is not a hyperparameter \(did you mean epochs\?\)"),
        ({"hyperparameters": {"gate_min_ap": 0.3}}, "gate_min_ap is not a hyperparameter"),
        ({"gate_min_app": 0.3}, r"did you mean gate_min_ap\?"),
        ({"hyperparameters": {"epochs": 0}}, "epochs"),
        ({"where": "moon"}, "local, airflow"),
        ({"hyperparameters": ["epochs"]}, "hyperparameters: expected a dict of values by name.* got list"),
        ({"hyperparameters": {3: 3}}, "3 is not a hyperparameter"),
        ({"hyperparameters": {"epochs": 1}, "epochs": 2}, "epochs: given twice"),
        ({"training": "elsewhere"}, "training: given twice"),
        ({"model_id": "dfine-nanoo"}, r"did you mean dfine-nano\?"),
        ({"run_id": 5}, "run_id: expected a text, got int 5"),
    ):
        with pytest.raises(UsageError, match=said):
            boxwright.train(tmp_path, **settings)  # type: ignore[arg-type]
    assert not home.exists()


def test_validation_shows_its_findings_as_a_table_and_as_a_page(sample: Path, tmp_path: Path) -> None:
    good = boxwright.validate(sample)
    assert good.usable and "usable" in repr(good) and set(good.report.splits) == {"training", "validation", "test"}
    strict = boxwright.validate(sample / "training", report=tmp_path / "kept", small_box_pixels=60)
    frame = strict.to_dataframe()
    assert len(frame) == len(strict.findings) > 0 and set(frame["severity"]) == {"warning"}
    assert (tmp_path / "kept" / "validation_report.html").read_text() == strict.html
    shown = strict._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and "sandbox" in shown and "<script" not in re.sub(r'".*?"', "", shown)
    for wrong in (None, 5, [sample]):
        with pytest.raises(UsageError, match="dataset: expected a folder or s3:// prefix"):
            boxwright.validate(wrong)  # type: ignore[arg-type]
    (missing,) = boxwright.validate(tmp_path / "nowhere").findings
    assert missing.rule == "file_unreadable" and "annotations.json does not exist" in missing.advice
    with pytest.raises(UsageError, match=r"small_box is not a setting of validation"):
        boxwright.validate(sample, small_box=1)


def test_models_and_their_defaults_are_told() -> None:
    ids = [model["model_id"] for model in boxwright.models()]
    assert "gfl-efficientnet-lite0-320" in ids
    assert boxwright.hyperparameters("dfine-nano")["learning_rate"] == 0.0001
    with pytest.raises(UsageError, match="weights_uri: expected a text"):
        boxwright.models(5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="dfine-nano"):
        boxwright.hyperparameters("dfine-nanoo")
