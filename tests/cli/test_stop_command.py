"""`boxwright stop`: what it asks of a training, and of what it says that there is nothing to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from boxwright.cli import app as cli
from boxwright.registry.training_run import TrainingRun


@pytest.fixture
def tracking(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    store = tmp_path / "mlflow.sqlite"
    store.write_bytes(empty_store.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    return f"sqlite:///{store}"


@pytest.fixture
def boxwright(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["boxwright", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


def test_a_training_under_way_is_asked_to_end(tracking: str, boxwright: Any) -> None:
    training = TrainingRun("detector", "weekly", tracking)
    with training.under_way({}):
        code, said, _ = boxwright("stop", "weekly")
        assert (code, said) == (0, "run weekly ends after the epoch that is under way\n")
        assert training.should_stop()


def test_what_is_not_under_way_is_not_stopped(tracking: str, boxwright: Any) -> None:
    with TrainingRun("detector", "done", tracking).under_way({}):
        pass
    code, _, error = boxwright("stop", "done")
    assert (code, "its last word is 'trained'" in error) == (2, True)
    code, _, error = boxwright("stop", "done", "--model-name", "other")
    assert (code, "knows no training of other by that name" in error) == (2, True)
