"""Starts a run of the training DAG through Airflow's REST interface, and follows it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from boxwright.airflow_api.client import AirflowClient, TaskState
from boxwright.errors import BoxwrightError, DataError, GateError, TrainingError

DAG_ID = "object_detection_training"


def start(client: AirflowClient, params: dict[str, Any], run_id: str | None = None) -> str:
    """Creates a run; returns its id.

    Raises:
        UsageError: Airflow refuses a param, or has a run of that id already.
    """
    run_id = run_id or f"cli__{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{uuid.uuid4().hex[:6]}"
    client.trigger(DAG_ID, run_id, params)
    return run_id


def is_paused(client: AirflowClient) -> bool:
    """Whether the DAG is paused, so that no run of it starts."""
    return bool(client.request("GET", f"/dags/{DAG_ID}")["is_paused"])


def follow(client: AirflowClient, run_id: str) -> Iterator[tuple[str, list[TaskState]]]:
    """The state of the run and of its tasks, until it has ended."""
    return client.follow(DAG_ID, run_id)


def failure_of(client: AirflowClient, run_id: str, tasks: list[TaskState]) -> BoxwrightError:
    """The error of a run that failed: the one line of the task that did, with the exit code of its kind."""
    failed = next((task for task in tasks if task.state == "failed"), None)
    if failed is None:
        return TrainingError(f"run {run_id} failed before a task ran; see Airflow")
    kinds: dict[str, type[BoxwrightError]] = {"validate_annotations": DataError, "quality_gate": GateError}
    kind = kinds.get(failed.task_id, TrainingError)
    return kind(f"run {run_id}: {failed.task_id} failed: {client.error_line(DAG_ID, run_id, failed)}")


def outcome(client: AirflowClient, run_id: str, state: str, tasks: list[TaskState]) -> dict[str, Any]:
    """What a run that ended well has come to.

    Raises:
        BoxwrightError: it failed; with the error line of the task that did.
    """
    if state != "success":
        raise failure_of(client, run_id, tasks)
    states = {task.task_id: task.state for task in tasks}
    found: dict[str, Any] = {"run_id": run_id, "status": "rejected"}
    for task_id, status in (("register_model", "registered"), ("reuse_version", "reused")):
        if states.get(task_id) == "success":
            version = client.result(DAG_ID, run_id, task_id) or {}
            found |= {"status": status} | {name: version.get(name) for name in ("model_name", "version", "archive")}
    return found
