"""Storage gets what an Airflow connection has, for as long as a step runs."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any

import pytest

from boxwright.config import StorageConfig
from boxwright.errors import UsageError
from boxwright.storage import connected
from boxwright.storage.connection import CONNECTION, EXTERNAL_ID, ROLE
from boxwright_airflow.connection import lent_credentials
from boxwright_airflow.operators import BoxwrightStepOperator

SECRET = "a-secret-of-the-connection"


@pytest.fixture(autouse=True)
def _connections(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {
        "region_name": "eu-west-1",
        "endpoint_url": "http://store:9000",
        "role_arn": "arn:aws:iam::1:role/reader",
        "assume_role_kwargs": {"ExternalId": "e-1"},
    }
    for name in [name for name in os.environ if name.startswith(("AWS_", "BOXWRIGHT_S3_"))]:
        monkeypatch.delenv(name)
    whole = {"conn_type": "aws", "login": "AKIA1", "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps(whole))
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": "http", "host": "x"}))


def test_what_the_connection_has_is_lent_and_taken_back() -> None:
    config = StorageConfig(connection="store")  # type: ignore[call-arg]
    before = dict(os.environ)
    with lent_credentials(config), connected(config):
        lent = {name: value for name, value in os.environ.items() if before.get(name) != value}
    assert lent == {
        "AWS_ACCESS_KEY_ID": "AKIA1",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "http://store:9000",
        ROLE: "arn:aws:iam::1:role/reader",
        EXTERNAL_ID: "e-1",
        CONNECTION: "store",
    } | {name: value for name, value in lent.items() if name == "BOXWRIGHT_S3_ADDRESSING_STYLE"}
    assert dict(os.environ) == before


@pytest.mark.parametrize(("name", "message"), [("nothing", "no such connection"), ("other", "type http; expected aws")])
def test_a_connection_that_will_not_do_is_named(name: str, message: str) -> None:
    with (
        pytest.raises(UsageError, match=f"'{name}'.*{message}"),
        lent_credentials(StorageConfig(connection=name)),  # type: ignore[call-arg]
    ):
        pass


def test_a_connection_is_refused_where_nobody_looks_it_up() -> None:
    with pytest.raises(UsageError, match="'store'.*outside of Airflow"), connected(StorageConfig(connection="store")):  # type: ignore[call-arg]
        pass


def test_a_step_runs_with_it_and_nothing_of_it_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def run_node(config: Any, *_: Any) -> dict[str, Any]:
        seen.update(config=config.to_json(), key=os.environ["AWS_SECRET_ACCESS_KEY"])
        return {"fingerprint": "ab12"}

    monkeypatch.setattr("boxwright.pipeline.run_node", run_node)
    dag_run = SimpleNamespace(run_id="r", run_after=None, data_interval_end=None, run_type="manual")
    monkeypatch.setattr("boxwright_airflow.operators.run_info", lambda _: dag_run)
    params = {"training": "/data", "output": "/out", "storage_connection": "store"}
    answer = BoxwrightStepOperator(task_id="t", node="evaluate").execute({"params": params, "dag_run": dag_run})  # type: ignore[arg-type]
    assert seen["key"] == SECRET and SECRET not in seen["config"] and SECRET not in json.dumps(answer)
    assert json.loads(seen["config"])["storage"] == {"connection": "store"}
