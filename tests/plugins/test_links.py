"""The link to a validation report: where Airflow looks for it, and for which reports there is one."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from boxwright_airflow.links import ValidationReportLink
from boxwright_airflow.operators import VALIDATING_NODES, BoxwrightStepOperator
from components.errors import DataError
from components.pipeline import NODES

RUN_ID = "manual__2026-01-05T03:00:00+00:00"


def link_of(report: str | None) -> str:
    return ValidationReportLink().get_link(SimpleNamespace(report=report), ti_key=None)  # type: ignore[arg-type]


def test_a_report_in_a_folder_has_a_link(tmp_path: Path) -> None:
    page = tmp_path / "a b" / "validation_report.html"
    assert link_of(str(page)) == ""
    page.parent.mkdir()
    page.touch()
    assert link_of(str(page)) == f"file://{tmp_path}/a%20b/validation_report.html"


@pytest.mark.parametrize("report", [None, "", "s3://bucket/run/output/validation_report.html", "javascript:alert(1)"])
def test_others_have_none(report: str | None) -> None:
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
    context = {"params": {"training": "/d", "output": str(tmp_path)}, "dag_run": dag_run}
    with pytest.raises(AirflowFailException):
        operator.execute(context)  # type: ignore[arg-type]
    name = "manual__2026-01-05T03-00-00-00-00"
    assert operator.report == str(tmp_path / name / "output" / "validation_report.html")


def test_the_link_survives_serialization() -> None:
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("links", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        BoxwrightStepOperator(task_id="a_task", node="download_dataset")
    task = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("a_task")
    assert task.extra_links == ["Validation report"]
