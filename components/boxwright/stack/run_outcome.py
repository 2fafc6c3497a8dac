"""The outcome of a run of the training DAG: the version that it ended with, or the error of the step that failed."""

from __future__ import annotations

from typing import Any

from boxwright.airflow_api import DAG_ID, AirflowClient, TaskState
from boxwright.errors import BoxwrightError, TrainingError, error_of
from boxwright.pipeline import NODES


def failure_of(client: AirflowClient, run_id: str, tasks: list[TaskState]) -> BoxwrightError:
    """The error of a run that failed: the one line of the task that did, with the exit code of its kind."""
    # Machines that train along fail with the step that they train with, and may have begun before its last try.
    steps, every = [node.id for node in NODES], [task for task in tasks if task.state == "failed"]
    failed = min(every, key=lambda task: task.task_id not in steps, default=None)
    if failed is None:
        return TrainingError(f"run {run_id} failed before a task ran; see Airflow")
    kind = error_of(client.exit_code(DAG_ID, run_id, failed.task_id))
    return kind(f"run {run_id}: {failed.task_id} failed: {client.error_line(DAG_ID, run_id, failed)}")


def outcome(client: AirflowClient, run_id: str, state: str, tasks: list[TaskState]) -> dict[str, Any]:
    """The outcome of a run that ended well.

    Returns:
        `run_id`, and `status`: "registered" or "reused" with `model_name`, `version` and `archive`; or "rejected".

    Raises:
        BoxwrightError: it failed; with the error line of the task that did.
    """
    if state != "success":
        raise failure_of(client, run_id, tasks)
    states = {task.task_id: task.state for task in tasks}
    last = next((node for node in NODES if node.ends_as and states.get(node.id) == "success"), None)
    if last is None:
        return {"run_id": run_id, "status": "rejected"}
    version = client.result(DAG_ID, run_id, last.id) or {}
    facts = {name: version.get(name) for name in ("model_name", "version", "archive")}
    return {"run_id": run_id, "status": last.ends_as, **facts}
