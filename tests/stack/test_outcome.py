from __future__ import annotations

from typing import Any

import pytest

from boxwright.airflow_api.client import TaskState
from boxwright.errors import BoxwrightError, DataError, GateError, StorageError, TrainingError, UsageError
from boxwright.stack.run_outcome import failure_of, outcome

VERSION = {"model_name": "detector", "version": 3, "archive": "/o/r/output/model.tar.gz"}

EXIT_CODES = {"validate_annotations": 1, "download_dataset": 4, "quality_gate": 3, "resolve_parent": 2, "fine_tune": 5}


class Airflow:
    """The part of Airflow that knows what tasks said."""

    def error_line(self, dag_id: str, run_id: str, task: TaskState) -> str:
        return f"{task.task_id} is to blame"

    def exit_code(self, dag_id: str, run_id: str, task_id: str) -> int | None:
        return EXIT_CODES.get(task_id)

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        return VERSION | {"accepted": 1, "told_by": task_id}


def tasks(**states: str) -> list[TaskState]:
    return [TaskState(name, state, 1, 1) for name, state in states.items()]


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("validate_annotations", DataError),
        ("download_dataset", StorageError),
        ("resolve_parent", UsageError),
        ("quality_gate", GateError),
        ("fine_tune", TrainingError),
        ("choose_seed", TrainingError),
    ],
)
def test_a_failed_run_ends_with_the_error_of_its_task(task: str, kind: type[BoxwrightError]) -> None:
    ran = [*tasks(build_examples="success"), TaskState(task, "failed", 1, 1)]
    with pytest.raises(kind) as caught:
        outcome(Airflow(), "demo-1", "failed", ran)  # type: ignore[arg-type]
    assert type(caught.value) is kind
    assert str(caught.value) == f"run demo-1: {task} failed: {task} is to blame"


def test_of_machines_that_fail_together_the_first_one_says_why() -> None:
    error = failure_of(Airflow(), "demo-1", tasks(train_along="failed", fine_tune="failed"))  # type: ignore[arg-type]
    assert str(error) == "run demo-1: fine_tune failed: fine_tune is to blame"


def test_a_run_that_failed_before_its_first_task_says_so() -> None:
    error = failure_of(Airflow(), "demo-1", [])  # type: ignore[arg-type]
    assert type(error) is TrainingError and "before a task ran" in str(error)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({"register_model": "success", "reuse_version": "skipped"}, VERSION | {"status": "registered"}),
        ({"register_model": "skipped", "reuse_version": "success"}, VERSION | {"status": "reused"}),
        ({"approve": "success", "register_model": "skipped", "reuse_version": "skipped"}, {"status": "rejected"}),
    ],
    ids=["registered", "reused", "rejected"],
)
def test_a_run_that_ended_well_says_what_it_came_to(states: dict[str, str], said: dict[str, Any]) -> None:
    assert outcome(Airflow(), "r", "success", tasks(**states)) == {"run_id": "r"} | said  # type: ignore[arg-type]
