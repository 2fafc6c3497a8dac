"""The Python API with a real Airflow: a run that is interrupted and stopped as it was told, and one to its end."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from boxwright.airflow_api.trigger import DAG_ID
from live.live_runs import SETTINGS, STEP_SECONDS, epochs_done

if TYPE_CHECKING:
    from live.conftest import LiveStack

MANY = 3000
PROGRAM = """
import json, sys
import boxwright
values = json.loads(sys.argv[1])
run = boxwright.train(values.pop("training"), where="airflow", run_id=sys.argv[2], **values)
print(json.dumps({"status": run.status, "metrics": dict(run.metrics), "model": run.model, "archive": run.archive,
    "report": "<iframe" in run.report._repr_html_(), "logs": run.logs()}))
"""


def started(stack: LiveStack, run_id: str, said: Path, **settings: object) -> subprocess.Popen[str]:
    """A person's script, with what it says in a file."""
    values = SETTINGS | {"model_name": "python-live", "seed_mode": "pretrained"} | settings
    with said.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(values), run_id],
            env=os.environ | stack.env,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )


@pytest.mark.long
def test_a_run_that_is_waited_for_is_interrupted_and_stopped_as_it_says(ready: LiveStack, tmp_path: Path) -> None:
    script = started(ready, "python-stopped", tmp_path / "said", epochs=MANY)
    try:
        ready.wait_for(
            lambda: script.poll() is not None or epochs_done(ready, "python-stopped"), "an epoch of the training"
        )
        assert script.poll() is None, (tmp_path / "said").read_text()
        script.send_signal(signal.SIGINT)
        assert script.wait(STEP_SECONDS) != 0
    finally:
        script.kill()
    said = (tmp_path / "said").read_text()
    print(said)
    assert (
        "run python-stopped goes on in Airflow; `boxwright stop python-stopped --model-name python-live` ends" in said
    )
    done = epochs_done(ready, "python-stopped")
    ready.wait_for(lambda: epochs_done(ready, "python-stopped") > done, "an epoch after the interrupt")

    command = said.partition("goes on in Airflow; `")[2].partition("`")[0]
    stop = subprocess.run(
        [sys.executable, "-m", "boxwright", *shlex.split(command)[1:]],
        env=os.environ | ready.env, capture_output=True, text=True, timeout=STEP_SECONDS, check=False,
    )  # fmt: skip
    assert stop.returncode == 0, stop.stderr
    assert ready.finish("python-stopped")[0] == "failed"
    assert ready.airflow.exit_code(DAG_ID, "python-stopped", "fine_tune") == 7
    assert epochs_done(ready, "python-stopped") < MANY


@pytest.mark.long
def test_a_run_that_is_waited_for_ends_with_its_facts(ready: LiveStack, tmp_path: Path) -> None:
    before = time.monotonic()
    script = started(ready, "python-whole", tmp_path / "said")
    out, _ = script.communicate(timeout=ready.run_seconds)
    print((tmp_path / "said").read_text(), f"{time.monotonic() - before:.0f} s")
    assert script.returncode == 0, (tmp_path / "said").read_text()
    found = json.loads(out.splitlines()[-1])
    (version,) = [one for one in ready.registry.versions("python-live") if one.run_id == "python-whole"]
    assert found["status"] == "registered" and found["metrics"]["AP"] == version.ap
    assert (found["model"], found["archive"]) == (version.reference, version.archive_uri)
    assert found["report"] and "== fine_tune" in found["logs"] and "Speed: " in found["logs"]
