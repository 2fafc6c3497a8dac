"""Ctrl-C while a run is waited for: on this machine it ends the run, which can go on; in Airflow it leaves it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import boxwright
from boxwright.airflow_api import trigger
from boxwright.api.airflow_run import AirflowRun
from boxwright.dataset.sample import generate_sample
from boxwright.pipeline import find_run, running
from boxwright.stack import progress

TRAIN = "import boxwright, sys; boxwright.train(sys.argv[1], model_id='tiny', run_id='mine')"


def test_a_run_of_this_machine_ends_and_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    generate_sample(tmp_path / "sample", images=12, seed=1)
    command = [sys.executable, "-c", TRAIN, str(tmp_path / "sample" / "training")]
    program = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    assert program.stderr is not None
    told = ""
    while "step validate_annotations" not in told:
        told += (line := program.stderr.readline())
        assert line, told
    program.send_signal(signal.SIGINT)
    rest = program.communicate(timeout=300)[1]
    assert "stopped; boxwright.resume('mine') goes on with it" in rest and "KeyboardInterrupt" in rest
    # Nobody is at it any more, and it is the one that `resume` takes.
    local = find_run()
    assert local.run.run_id == "mine" and not local.ended
    with pytest.raises(ZeroDivisionError), running(local):
        raise ZeroDivisionError
    run = boxwright.resume(wait=False)
    assert (run.run_id, run.status) == ("mine", "running")
    run._process.kill()  # type: ignore[attr-defined]
    run._process.wait()  # type: ignore[attr-defined]


def test_a_run_in_airflow_goes_on_and_says_how_to_stop_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(progress, "show_run", interrupted)
    monkeypatch.setattr(trigger, "is_paused", lambda client: False)
    client: Any = SimpleNamespace(follow=lambda dag_id, run_id: iter(()))
    with pytest.raises(KeyboardInterrupt):
        AirflowRun(client, "r", "cells").wait()
    assert capsys.readouterr().err == (
        "run r goes on in Airflow; `boxwright stop r --model-name cells` ends its training\n"
    )
