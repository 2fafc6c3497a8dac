"""Starts a run of the training DAG through Airflow's REST interface, and follows it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from boxwright.airflow_api.client import AirflowClient, TaskState
from boxwright.config import PIPELINE

DAG_ID = PIPELINE
# The Airflow Variables that are taken for required params that are empty: runs of the schedule have nobody to fill the
# form.
VARIABLES = {"training": "boxwright_training_uri", "output": "boxwright_output_uri"}


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
