"""The link to a validation report: where Airflow looks for it, and for which reports there is one."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from airflow.sdk.exceptions import AirflowFailException

from boxwright.airflow_api import XCOM_EXIT_CODE
from boxwright.errors import DataError
from boxwright.pipeline.nodes import NODES
from boxwright_airflow.links import XCOM_REPORT, TrainingLink, ValidationReportLink, VersionLink
from boxwright_airflow.operators import BoxwrightStepOperator

RUN_ID = "manual__2026-01-05T03:00:00+00:00"


KEY = SimpleNamespace(dag_id="training", run_id=RUN_ID, task_id="download_dataset")


def link_of(report: str | None) -> str:
    return ValidationReportLink().get_link(SimpleNamespace(report=report), ti_key=KEY)  # type: ignore[arg-type]


def test_the_link_leads_to_the_page_of_the_task_on_airflows_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/a/")
    parts = urlsplit(link_of("s3://bucket/run/output/validation_report.html"))
    assert (parts.netloc, parts.path) == ("airflow.example", "/a/boxwright/report")
    assert dict(parse_qsl(parts.query)) == vars(KEY)


@pytest.mark.parametrize("report", [None, ""])
def test_a_task_that_told_of_no_report_has_none(report: str | None) -> None:
    assert link_of(report) == ""


def test_each_step_links_to_what_it_leaves() -> None:
    found = {}
    for node in NODES:
        links = BoxwrightStepOperator(task_id=node.id, node=node.id).operator_extra_links
        assert len(links) <= 1
        found[node.id] = type(links[0]) if links else None
    found = {name: kind for name, kind in found.items() if kind}
    assert found == {
        "validate_annotations": ValidationReportLink,
        "download_dataset": ValidationReportLink,
        "reuse_version": VersionLink,
        "fine_tune": TrainingLink,
        "register_model": VersionLink,
    }


def test_a_task_of_an_unknown_node_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(ValueError, match="no node 'fine_tuning'; its nodes are validate_annotations, "):
        BoxwrightStepOperator(task_id="a_task", node="fine_tuning")


def run_step(monkeypatch: pytest.MonkeyPatch, node: str, run_node: Any) -> BoxwrightStepOperator:
    """The operator after its task, well or not."""
    monkeypatch.setattr("boxwright.pipeline.run_node", run_node)
    operator = BoxwrightStepOperator(task_id="a_task", node=node)
    now = datetime(2026, 1, 5, tzinfo=UTC)
    dag_run = SimpleNamespace(
        dag_id="training", run_id="run-1", run_type="manual", run_after=now, data_interval_end=None
    )
    params = {"training": "/d", "output": "/o", "model_name": "detector"}
    with suppress(AirflowFailException):
        operator.execute(
            {"params": params, "dag_run": dag_run, "ti": SimpleNamespace(xcom_push=dict[str, Any]().__setitem__)}
        )  # type: ignore[arg-type]
    return operator


def test_a_registered_version_is_shown_in_airflows_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/a/")
    summary = {"model_name": "detector", "version": 7}
    operator = run_step(monkeypatch, "register_model", lambda *_: summary)
    link = VersionLink().get_link(operator, ti_key=KEY)  # type: ignore[arg-type]
    assert link == "https://airflow.example/a/plugin/models/a/boxwright/models/detector/7"
    assert VersionLink().get_link(SimpleNamespace(), ti_key=KEY) == ""  # type: ignore[arg-type]


def test_a_training_links_to_its_mlflow_run_even_where_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx
    from mlflow.server import app, handlers
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    from boxwright.registry import mlflow_http, tracking
    from boxwright.registry.opening import open_registry

    def run_node(*_: Any) -> None:
        raise DataError("no image is left")

    uri = f"sqlite:///{tmp_path / 'mlflow.sqlite'}"
    made = tracking.run_of(open_registry(uri)._client, "detector", "run-1")
    monkeypatch.setattr(handlers, "_tracking_store", SqlAlchemyStore(uri, str(tmp_path)))
    over_network = httpx.Client
    monkeypatch.setattr(
        mlflow_http.httpx, "Client", lambda **given: over_network(**given | {"transport": httpx.WSGITransport(app=app)})
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@localhost:5000")
    operator = run_step(monkeypatch, "fine_tune", run_node)
    address = f"http://localhost:5000/#/experiments/{made.experiment_id}/runs/{made.run_id}"
    assert TrainingLink().get_link(operator, ti_key=KEY) == address  # type: ignore[arg-type]


def test_a_training_without_an_mlflow_server_has_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    operator = run_step(monkeypatch, "fine_tune", lambda *_: {})
    assert TrainingLink().get_link(operator, ti_key=KEY) == ""  # type: ignore[arg-type]


def test_a_task_that_fails_has_said_where_its_report_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_node(*_: Any) -> None:
        raise DataError("dataset: 2 bad records")

    monkeypatch.setattr("boxwright.pipeline.run_node", run_node)
    operator = BoxwrightStepOperator(task_id="a_task", node="validate_annotations")
    now = datetime(2026, 1, 5, tzinfo=UTC)
    dag_run = SimpleNamespace(run_id=RUN_ID, run_type="manual", run_after=now, data_interval_end=None)
    told: dict[str, str] = {}
    task = SimpleNamespace(xcom_push=told.__setitem__)
    context = {"params": {"training": "/d", "output": str(tmp_path)}, "dag_run": dag_run, "ti": task}
    with pytest.raises(AirflowFailException):
        operator.execute(context)  # type: ignore[arg-type]
    name = "manual__2026-01-05T03-00-00-00-00"
    assert operator.report == str(tmp_path / name / "output" / "validation_report.html")
    assert told == {XCOM_REPORT: operator.report, XCOM_EXIT_CODE: DataError.exit_code}


def test_the_link_survives_serialization() -> None:
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("links", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        BoxwrightStepOperator(task_id="a_task", node="download_dataset")
    task = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("a_task")
    assert task.extra_links == ["Validation report"]
