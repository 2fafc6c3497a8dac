"""Processes of a stack that are ended by SIGKILL: services, and tasks that are under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import psutil

from boxwright.stack import manager

if TYPE_CHECKING:
    from live.conftest import LiveStack


def kill(stack: LiveStack, names: Sequence[str]) -> dict[str, int | None]:
    """Kills services by SIGKILL; the pids of all as they were."""
    before = {state.name: state.pid for state in manager.status(stack.settings)}
    for name in names:
        psutil.Process(before[name]).kill()
    return before


def all_ready(stack: LiveStack) -> bool:
    return all(state.ready for state in manager.status(stack.settings))


def kill_task(task: str) -> None:
    """Ends the process of a task, which Airflow has given a title with the task's own id, `task`."""
    running = psutil.process_iter(["cmdline"])
    title = f"airflow worker -- {task}"
    (process,) = [one for one in running if " ".join(one.info["cmdline"] or []).strip() == title]
    process.kill()
