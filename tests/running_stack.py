"""A stack that runs, of one machine or as of several, as the tests that need one see it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest

from boxwright.airflow_api.client import AirflowClient
from boxwright.airflow_api.trigger import DAG_ID
from boxwright.stack.environment import Stack


@dataclass(frozen=True)
class RunningStack:
    """A stack that runs.

    Attributes:
        stack: addresses, ports and secrets.
        env: the variables that lead a process to it.
        airflow: a client that is logged in as the administrator.
        step_seconds, run_seconds: until what is awaited, or a run, is late.
    """

    stack: Stack
    env: dict[str, str] = field(repr=False)
    airflow: AirflowClient
    step_seconds: ClassVar[float]
    run_seconds: ClassVar[float]

    @cached_property
    def s3(self) -> Any:
        """A client of the stack's S3 server."""
        return boto3.client(
            "s3",
            endpoint_url=self.stack.s3_url,
            region_name=self.env["AWS_REGION"],
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
        )

    def wait_for(self, condition: Callable[[], Any], what: str, seconds: float | None = None) -> Any:
        """Calls `condition` until it returns something, and returns that; fails with `what` was awaited."""
        seconds = seconds or self.step_seconds
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
            time.sleep(0.5)
        return found

    def finish(self, run_id: str, dag_id: str = DAG_ID) -> tuple[str, dict[str, str]]:
        """Waits for the end of a run; its state, and those of its tasks."""
        deadline = time.monotonic() + self.run_seconds
        for state, tasks in self.airflow.follow(dag_id, run_id):
            assert time.monotonic() < deadline, f"run {run_id} is still {state} after {self.run_seconds} s: {tasks}"
        return state, {task.task_id: task.state for task in tasks}


def give_time(items: Iterable[pytest.Item], folder: Path, seconds: float) -> None:
    """Gives the tests of a folder the time that runs take; long ones have their own."""
    for item in items:
        if item.path.parent == folder and not item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(seconds))
