"""The child with the model: it answers its parent only, and does not outlive it, nor its use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import finder as finder_model
import httpx
import psutil
import pytest
from waiting import wait_for

from boxwright_airflow.trial.current_model import CurrentModel
from boxwright_airflow.trial.process import ModelProcess, message_in

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
PARENT = """
import sys
from boxwright_airflow.trial.process import ModelProcess
print(ModelProcess(sys.argv[1], 300).pid, flush=True)
sys.stdin.read()
"""


def test_it_answers_who_has_the_token(ready: ModelProcess) -> None:
    assert (ready.phase, ready.problem) == ("ready", "")
    assert ready.facts["classes"] == list(finder_model.LABELS)
    assert ready.facts["default_threshold"] == 0.5
    image = finder_model.encoded(finder_model.scene())
    headers = {"Content-Type": "image/jpeg", "Accept": "application/json;box_order=xyxy"}
    url = f"{ready.url}/invocations"
    answer = httpx.post(url, content=image, headers=headers | ready.headers, timeout=60, trust_env=False)
    box = answer.json()["normalized_boxes"][0]
    assert box == pytest.approx([20 / 200, 10 / 100, 80 / 200, 40 / 100], abs=0.02)
    assert httpx.post(url, content=image, headers=headers, timeout=60, trust_env=False).status_code == 401


def test_it_listens_on_this_machine_only_and_knows_no_secret_of_airflow(ready: ModelProcess) -> None:
    process = psutil.Process(ready.pid)
    listening = [one.laddr.ip for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]
    assert not [name for name in process.environ() if name.startswith("AIRFLOW_")]
    token = ready.headers["Authorization"].removeprefix("Bearer ")
    assert not any(token in part for part in process.cmdline())


def test_a_child_does_not_outlive_a_parent_that_is_killed(finder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(PLUGINS), str(PLUGINS.parent)))}
    command = [sys.executable, "-c", PARENT, str(finder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    child.wait(30)
    assert not child.is_running()


def test_a_model_that_is_not_there_fails_with_the_reason(tmp_path: Path) -> None:
    process = ModelProcess(str(tmp_path / "nothing"), idle_seconds=300)
    wait_for(lambda: process.phase != "loading", "the model to load")
    assert process.phase == "failed"
    assert "nothing" in process.problem
    wait_for(lambda: not psutil.pid_exists(process.pid), "the end of the process")


def test_a_child_that_is_killed_is_told_of_and_started_again(tmp_path: Path) -> None:
    current, reference = CurrentModel(), str(tmp_path / "nothing")
    assert current.status(reference).phase == "off"
    assert current.start(reference).phase == "loading"
    child = current._current
    assert child
    os.kill(child.pid, signal.SIGKILL)
    wait_for(lambda: current.status(reference).phase == "failed", "the model to fail")
    assert "exit code -9" in current.status(reference).reason
    assert current.start(reference).phase == "loading"
    assert current._current and current._current.pid != child.pid
    current.close()
    assert current.status(reference).phase == "off"


def test_one_model_at_a_time_and_none_is_taken_from_who_uses_it(finder: Path, tmp_path: Path) -> None:
    current = CurrentModel(grace_seconds=0.2)
    first, second = str(finder), str(tmp_path / "second")
    current.start(first)
    refused = current.start(second)
    assert refused.phase == "busy" and first in refused.reason and refused.seconds >= 1
    assert current._current
    current._current.phase = "ready"
    assert current.use(second) is None
    used = current.use(first)
    assert used is current._current
    assert current.start(second).phase == "busy"
    wait_for(lambda: current.start(second).phase == "loading", "the second model to load", 5)
    assert used and used.phase == "ended" and not psutil.pid_exists(used.pid)
    current.close()


def test_a_model_that_nobody_uses_ends(tmp_path: Path) -> None:
    process = ModelProcess(str(tmp_path / "nothing"), idle_seconds=0.2)
    process.phase = "ready"
    wait_for(lambda: process.phase == "ended", "the idle process to end", 5)
    wait_for(lambda: not psutil.pid_exists(process.pid), "the end of the process", 30)


@pytest.mark.parametrize("line", [b"{of a library}\n", b"loading\n", b"[1]\n", b'{"progress": 3}\n', b"\xff\n"])
def test_what_a_library_prints_is_not_a_message(line: bytes) -> None:
    assert message_in(line) is None
    assert message_in(b'{"error": "why"}\n') == {"error": "why"}
