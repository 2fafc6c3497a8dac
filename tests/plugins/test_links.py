"""The link to a validation report: where Airflow looks for it, and for which reports there is one."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from airflow.sdk.exceptions import AirflowFailException

from boxwright_airflow.links import XCOM_REPORT, ValidationReportLink
from boxwright_airflow.operators import VALIDATING_NODES, BoxwrightStepOperator
from components.errors import DataError
from components.nodes import NODES

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


def test_only_validating_steps_have_it() -> None:
    assert set(VALIDATING_NODES) < set(NODES)
    for node in NODES:
        links = BoxwrightStepOperator(task_id=node, node=node).operator_extra_links
        assert [type(link) for link in links] == [ValidationReportLink] * (node in VALIDATING_NODES)


def test_a_task_that_fails_has_said_where_its_report_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_node(*_: Any) -> None:
        raise DataError("dataset: 2 bad records")

    monkeypatch.setitem(sys.modules, "components.runner", SimpleNamespace(run_node=run_node))  # type: ignore[arg-type]
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
    assert told == {XCOM_REPORT: operator.report}


def test_the_link_survives_serialization() -> None:
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("links", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        BoxwrightStepOperator(task_id="a_task", node="download_dataset")
    task = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("a_task")
    assert task.extra_links == ["Validation report"]
