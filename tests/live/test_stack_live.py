from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from boxwright.stack import manager

if TYPE_CHECKING:
    from live.conftest import LiveStack


def test_every_service_runs_and_is_ready(stack: LiveStack) -> None:
    states = manager.status(stack.settings)
    assert {state.name: state.ready for state in states} == dict.fromkeys(
        ("postgres", "s3", "mlflow", "api-server", "scheduler", "dag-processor", "triggerer", "supervisor"), True
    )


def pids(stack: LiveStack) -> dict[str, int | None]:
    return {state.name: state.pid for state in manager.status(stack.settings) if state.name != "supervisor"}


def test_up_leaves_what_runs_alone(stack: LiveStack) -> None:
    before = pids(stack)
    again, started = manager.up(stack.settings, free_ports=True)
    assert started == []
    assert again.ports == stack.stack.ports
    assert pids(stack) == before


def test_airflow_wants_a_log_in(stack: LiveStack) -> None:
    assert httpx.get(f"{stack.stack.airflow_url}/api/v2/dags").status_code == 401
    assert stack.airflow.request("GET", "/dags")["total_entries"] >= 0


def test_the_gpu_pool_has_one_slot_and_no_plugin_or_dag_is_broken(stack: LiveStack) -> None:
    assert stack.airflow.request("GET", "/pools/gpu")["slots"] == 1
    assert stack.airflow.request("GET", "/plugins/importErrors")["import_errors"] == []
    stack.airflow.wait_for_dag("object_detection_training")
    assert stack.airflow.request("GET", "/importErrors")["import_errors"] == []


def test_s3_keeps_objects_and_refuses_strangers(stack: LiveStack) -> None:
    ours = stack.s3
    ours.put_object(Bucket="boxwright", Key="live/a.txt", Body=b"a")
    assert ours.get_object(Bucket="boxwright", Key="live/a.txt")["Body"].read() == b"a"
    stranger = replace(stack, env=stack.env | {"AWS_SECRET_ACCESS_KEY": "wrong"}).s3
    with pytest.raises(ours.exceptions.ClientError) as caught:
        stranger.get_object(Bucket="boxwright", Key="live/a.txt")
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_mlflow_answers(stack: LiveStack) -> None:
    body = {"max_results": 10}
    login = (stack.env["MLFLOW_TRACKING_USERNAME"], stack.env["MLFLOW_TRACKING_PASSWORD"])
    url = f"{stack.stack.mlflow_url}/api/2.0/mlflow/experiments/search"
    found = httpx.post(url, json=body, auth=login, timeout=30)
    assert "Default" in [experiment["name"] for experiment in found.json()["experiments"]]


def test_everything_listens_on_this_machine_only(stack: LiveStack) -> None:
    listening = [
        connection.laddr.ip
        for state in manager.status(stack.settings)
        for process in [psutil.Process(state.pid), *psutil.Process(state.pid).children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening and set(listening) == {"127.0.0.1"}


def test_what_a_first_run_needs_is_there_and_a_persons_own_stays(stack: LiveStack) -> None:
    variable = stack.airflow.request("GET", "/variables/boxwright_output_uri")
    assert variable["value"] == "s3://boxwright/runs"
    assert not stack.airflow.ensure_variable("boxwright_output_uri", "s3://boxwright/other", "")
    assert stack.airflow.request("GET", "/variables/boxwright_output_uri") == variable
