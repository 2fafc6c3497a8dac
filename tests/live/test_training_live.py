"""The DAG in a real Airflow, on a real S3 server and MLflow: from a bucket to a registered detector, and again."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from live_runs import DATASET, MODEL, log_in, trigger

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.stack import manager

if TYPE_CHECKING:
    from conftest import LiveStack


def _versions(stack: LiveStack) -> list[Any]:
    return list(stack.registry.versions(MODEL))


def _log(stack: LiveStack, run_id: str, task_id: str) -> str:
    path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task_id}/logs/1"
    return json.dumps(stack.airflow.request("GET", path, params={"full_content": "true"}))


def test_a_dataset_in_a_bucket_becomes_a_registered_model(ready: LiveStack, first: dict[str, str]) -> None:
    assert {name for name, state in first.items() if state != "success"} == {"resolve_parent", "reuse_version"}
    assert len(first) == 14
    (version,) = [version for version in _versions(ready) if version.run_id == "live-first"]
    assert (version.version, version.archive_uri) == (1, "s3://boxwright/runs/live-first/output/model.tar.gz")
    found = ready.s3.list_objects_v2(Bucket="boxwright", Prefix="runs/live-first/output/")["Contents"]
    names = {entry["Key"].rpartition("/")[2] for entry in found}
    assert {"model.tar.gz", "run.json", "predictions.png", "validation_report.json", "gate.json"} <= names


def test_training_logs_the_managed_algorithms_lines_and_no_secret(ready: LiveStack, first: dict[str, str]) -> None:
    log = _log(ready, "live-first", "fine_tune")
    assert "[Epoch 1], Speed: " in log
    assert "Val_localization=" in log
    for task_id in ("validate_annotations", "download_dataset", "fine_tune", "register_model"):
        assert ready.env["AWS_SECRET_ACCESS_KEY"] not in _log(ready, "live-first", task_id)


@pytest.mark.parametrize("task_id", ["validate_annotations", "download_dataset"])
def test_the_report_opens_from_its_task(ready: LiveStack, first: dict[str, str], task_id: str) -> None:
    page = _report(ready, "live-first", task_id, log_in(ready.stack))
    assert page.status_code == 200
    assert "<!doctype html>" in page.text.lower() and f"{DATASET}/training" in page.text
    assert "sandbox" in page.headers["Content-Security-Policy"]


def test_the_report_is_for_those_who_may_read_the_dag(ready: LiveStack, first: dict[str, str]) -> None:
    assert _report(ready, "live-first", "validate_annotations", {}).status_code == 401
    place = {"dag_id": DAG_ID, "run_id": "live-first", "task_id": "fine_tune"}
    page = f"{ready.stack.airflow_url}/boxwright/report"
    assert httpx.get(page, params=place, trust_env=False).status_code == 401
    assert httpx.get(page, params=place, cookies=log_in(ready.stack), trust_env=False).status_code == 404


def _report(stack: LiveStack, run_id: str, task_id: str, cookies: dict[str, str]) -> httpx.Response:
    found = stack.airflow.request("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task_id}/links")
    return httpx.get(found["extra_links"]["Validation report"], cookies=cookies, trust_env=False)


def test_the_second_run_is_incremental(ready: LiveStack, second: dict[str, str]) -> None:
    assert (second["fetch_pretrained"], second["resolve_parent"]) == ("skipped", "success")
    versions = {version.run_id: version for version in _versions(ready)}
    assert versions["live-second"].tags["boxwright.parent"] == versions["live-first"].reference


def test_bad_data_fails_the_run_at_once_without_a_retry(ready: LiveStack, bad: dict[str, str]) -> None:
    assert bad["validate_annotations"] == "failed"
    (task,) = [task for task in ready.airflow.tasks(DAG_ID, "live-bad") if task.task_id == "validate_annotations"]
    assert task.try_number == 1
    assert "nowhere" in ready.airflow.error_line(DAG_ID, "live-bad", task)
    assert "file_unreadable" in _report(ready, "live-bad", "validate_annotations", log_in(ready.stack)).text
    assert "live-bad" not in [version.run_id for version in _versions(ready)]


def test_a_training_that_is_killed_and_cleared_registers_one_version(ready: LiveStack, first: dict[str, str]) -> None:
    _train_with_kills(ready, "live-killed", epochs=8, kills=1)


@pytest.mark.long
def test_a_training_that_is_killed_ten_times_registers_one_version(ready: LiveStack, first: dict[str, str]) -> None:
    _train_with_kills(ready, "live-killed-often", epochs=200, kills=10)


def _train_with_kills(stack: LiveStack, run_id: str, epochs: int, kills: int) -> None:
    """Trains to the end with SIGKILL at random moments, each after at least one further epoch."""
    chance = random.Random(run_id)
    trigger(stack, run_id, seed_mode="pretrained", epochs=epochs)
    known = 0
    for _ in range(kills):
        stack.wait_for(lambda before=known: _epochs_done(stack, run_id) > before)
        time.sleep(chance.uniform(0, 1))
        _kill_fine_tune(stack)
        known = _epochs_done(stack, run_id)
        stack.wait_for(lambda: _state_of(stack, run_id, "fine_tune") in ("failed", "up_for_retry", "queued"))
        body = {"dag_run_id": run_id, "task_ids": ["fine_tune"], "dry_run": False, "include_downstream": True}
        stack.airflow.request("POST", f"/dags/{DAG_ID}/clearTaskInstances", json=body | {"only_failed": False})
    state, tasks = stack.finish(run_id)
    assert state == "success", tasks
    (version,) = [version for version in _versions(stack) if version.run_id == run_id]
    detector = stack.airflow.result(DAG_ID, run_id, "fine_tune")
    history = json.loads((Path(detector["uri"]) / "history.json").read_text())
    assert [record["epoch"] for record in history] == list(range(epochs))
    log = _any_log(stack, run_id, "fine_tune")
    assert log.count("resuming after epoch") == kills
    trained = re.findall(r"\[Epoch (\d+)\], Speed", log)
    # The epoch that a kill fell into may have been reported before its checkpoint.
    assert epochs <= len(trained) <= epochs + kills
    print(f"{kills} kills repeated {len(trained) - epochs} whole epochs")


def _epochs_done(stack: LiveStack, run_id: str) -> int:
    state = stack.home / "pipeline" / "checkpoints" / run_id / "state.json"
    return json.loads(state.read_text())["epochs"] if state.exists() else 0


def _state_of(stack: LiveStack, run_id: str, task_id: str) -> str:
    return {task.task_id: task.state for task in stack.airflow.tasks(DAG_ID, run_id)}[task_id]


def _any_log(stack: LiveStack, run_id: str, task_id: str) -> str:
    folder = Path(stack.env["AIRFLOW_HOME"]) / "logs"
    return "".join(path.read_text() for path in folder.rglob("*.log") if run_id in str(path) and task_id in str(path))


def _kill_fine_tune(stack: LiveStack) -> None:
    """Kills the process that holds TensorFlow, of those that the scheduler started: the task's own."""
    (scheduler,) = [state.pid for state in manager.status(stack.settings) if state.name == "scheduler"]
    for process in psutil.Process(scheduler).children(recursive=True):
        if "libtensorflow" in Path(f"/proc/{process.pid}/maps").read_text():
            process.kill()
            return
    raise AssertionError("no task process with TensorFlow found")
