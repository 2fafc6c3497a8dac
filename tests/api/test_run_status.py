"""The status of a run that has ended, on this machine and in Airflow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from boxwright.airflow_api import TaskState
from boxwright.api.airflow_run import AirflowRun
from boxwright.api.local_run import LocalProcess

CODES = [(3, "rejected"), (7, "stopped"), (4, "failed"), (70, "failed")]


@pytest.mark.parametrize(("code", "status"), [(None, "running"), *CODES])
def test_a_process_that_ended_says_why(code: int | None, status: str) -> None:
    run = LocalProcess.__new__(LocalProcess)
    run._process = SimpleNamespace(poll=lambda: code)  # type: ignore[assignment]
    assert run.status == status


@pytest.mark.parametrize(("code", "status"), [(None, "failed"), *CODES])
def test_a_run_in_airflow_says_the_same(code: int | None, status: str) -> None:
    failed = TaskState("quality_gate", "failed", 1.0, 1)
    client: Any = SimpleNamespace(
        follow=lambda dag_id, run_id: iter([("failed", [failed])]),
        exit_code=lambda dag_id, run_id, task_id: code,
        error_line=lambda dag_id, run_id, task: "why",
    )
    assert AirflowRun(client, "r", "detector").status == status
