"""The DAG in a real Airflow, on a real S3 server and MLflow: from a bucket to a registered detector."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.errors import DataError
from live.live_runs import DATASET, EPOCHS, FIRST, MODEL, kill_training, log_in, trigger

if TYPE_CHECKING:
    from live.conftest import LiveStack


def _versions(stack: LiveStack) -> list[Any]:
    return list(stack.registry.versions(MODEL))


def test_a_dataset_in_a_bucket_becomes_a_registered_model(ready: LiveStack, first: dict[str, str]) -> None:
    others = {"resolve_parent", "reuse_version", "call_machines", "train_along"}
    assert {name for name, state in first.items() if state != "success"} == others
    assert len(first) == 17
    (version,) = [version for version in _versions(ready) if version.run_id == FIRST]
    assert (version.version, version.archive_uri) == (1, "s3://boxwright/runs/live-first/output/model.tar.gz")
    found = ready.s3.list_objects_v2(Bucket="boxwright", Prefix="runs/live-first/output/")["Contents"]
    names = {entry["Key"].rpartition("/")[2] for entry in found}
    assert {"model.tar.gz", "run.json", "predictions.png", "validation_report.json", "gate.json"} <= names


def test_training_logs_the_managed_algorithms_lines_and_no_secret(ready: LiveStack, first: dict[str, str]) -> None:
    (task,) = [task for task in ready.airflow.tasks(DAG_ID, FIRST) if task.task_id == "fine_tune"]
    path = f"/dags/{DAG_ID}/dagRuns/{FIRST}/taskInstances/fine_tune/logs/{task.try_number}"
    log = json.dumps(ready.airflow.request("GET", path, params={"full_content": "true"}))
    assert f"[Epoch {EPOCHS - 1}], Speed: " in log
    assert "Val_localization=" in log
    for task_id in ("validate_annotations", "download_dataset", "fine_tune", "register_model"):
        assert ready.env["AWS_SECRET_ACCESS_KEY"] not in _whole_log(ready, FIRST, task_id)


@pytest.mark.parametrize("task_id", ["validate_annotations", "download_dataset"])
def test_the_report_opens_from_its_task(ready: LiveStack, first: dict[str, str], task_id: str) -> None:
    page = _report(ready, FIRST, task_id, log_in(ready.stack))
    assert page.status_code == 200
    assert "<!doctype html>" in page.text.lower() and f"{DATASET}/training" in page.text
    assert "sandbox" in page.headers["Content-Security-Policy"]


def test_the_report_is_for_those_who_may_read_the_dag(ready: LiveStack, first: dict[str, str]) -> None:
    assert _report(ready, FIRST, "validate_annotations", {}).status_code == 401
    place = {"dag_id": DAG_ID, "run_id": FIRST, "task_id": "fine_tune"}
    page = f"{ready.stack.airflow_url}/boxwright/report"
    assert httpx.get(page, params=place, trust_env=False).status_code == 401
    assert httpx.get(page, params=place, cookies=log_in(ready.stack), trust_env=False).status_code == 404


def _report(stack: LiveStack, run_id: str, task_id: str, cookies: dict[str, str]) -> httpx.Response:
    path = f"/dags/{DAG_ID}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/links"
    found = stack.airflow.request("GET", path)
    return httpx.get(found["extra_links"]["Validation report"], cookies=cookies, trust_env=False)


def test_bad_data_fails_the_run_at_once_without_a_retry(ready: LiveStack, bad: str) -> None:
    (task,) = [task for task in ready.airflow.tasks(DAG_ID, bad) if task.task_id == "validate_annotations"]
    assert (task.state, task.try_number) == ("failed", 1)
    assert "nothing-here" in ready.airflow.error_line(DAG_ID, bad, task)
    assert ready.airflow.exit_code(DAG_ID, bad, task.task_id) == DataError.exit_code
    assert "file_unreadable" in _report(ready, bad, "validate_annotations", log_in(ready.stack)).text
    registered = [version.run_id for name in ("detector", MODEL) for version in ready.registry.versions(name)]
    assert bad not in registered


def test_a_training_that_is_killed_and_cleared_registers_one_version(ready: LiveStack, first: dict[str, str]) -> None:
    _assert_trained_once(ready, FIRST, EPOCHS, kills=1)


@pytest.mark.long
def test_a_training_that_is_killed_ten_times_registers_one_version(ready: LiveStack, first: dict[str, str]) -> None:
    run_id, epochs, kills = "live-killed-often", 200, 10
    trigger(ready, run_id, seed_mode="pretrained", epochs=epochs)
    kill_training(ready, run_id, kills)
    state, tasks = ready.finish(run_id)
    assert state == "success", tasks
    _assert_trained_once(ready, run_id, epochs, kills)


def _assert_trained_once(stack: LiveStack, run_id: str, epochs: int, kills: int) -> None:
    assert len([version for version in _versions(stack) if version.run_id == run_id]) == 1
    detector = stack.airflow.result(DAG_ID, run_id, "fine_tune")
    history = json.loads((Path(detector["uri"]) / "history.json").read_text())
    assert [record["epoch"] for record in history] == list(range(epochs))
    log = _whole_log(stack, run_id, "fine_tune")
    assert log.count("resuming after epoch") == kills
    trained = re.findall(r"\[Epoch (\d+)\], Speed", log)
    # The epoch that a kill fell into may have been reported before its checkpoint.
    assert epochs <= len(trained) <= epochs + kills
    print(f"{kills} kills repeated {len(trained) - epochs} whole epochs")


def _whole_log(stack: LiveStack, run_id: str, task_id: str) -> str:
    """The log of all tries of a task."""
    folder = Path(stack.env["AIRFLOW_HOME"]) / "logs"
    paths = sorted(path for path in folder.rglob("*.log") if run_id in str(path) and f"task_id={task_id}" in str(path))
    assert paths, f"no log of {task_id} below {folder}"
    return "".join(path.read_text() for path in paths)
