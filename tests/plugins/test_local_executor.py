from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from airflow.utils.state import TaskInstanceState

from boxwright.config.settings import Settings
from boxwright.stack.environment import added_environment, open_stack
from boxwright.stack.ports import DEFAULTS
from boxwright_airflow.local_executor import AdoptingLocalExecutor


@pytest.fixture
def process() -> Iterator[psutil.Popen]:
    """The process of a task."""
    with psutil.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as started:
        yield started
        started.kill()


def task(pid: int | None, state: str = TaskInstanceState.RUNNING, started: datetime | None = None) -> Any:
    return SimpleNamespace(pid=pid, state=state, start_date=started or datetime.now(UTC))


def not_adopted(one: Any) -> bool:
    return list(AdoptingLocalExecutor().try_adopt_task_instances([one])) == [one]


def test_a_running_task_is_adopted(process: psutil.Popen) -> None:
    assert not not_adopted(task(process.pid))


def test_what_does_not_run_is_scheduled_again(process: psutil.Popen) -> None:
    assert not_adopted(task(process.pid, TaskInstanceState.QUEUED))
    assert not_adopted(task(None))
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert not_adopted(task(ended.pid))


def test_a_pid_that_is_another_process_s_now_is_no_task(process: psutil.Popen) -> None:
    assert not_adopted(task(process.pid, started=datetime.now(UTC) - timedelta(minutes=1)))


def test_it_is_what_the_stack_runs(home: Settings) -> None:
    stack = open_stack(home, DEFAULTS)
    name = f"{AdoptingLocalExecutor.__module__}.{AdoptingLocalExecutor.__qualname__}"
    assert added_environment(stack)["AIRFLOW__CORE__EXECUTOR"] == name
