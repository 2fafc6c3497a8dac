"""Airflow's LocalExecutor for schedulers that may die: the tasks that one has started go on under the next.

A task has a process of its own, which talks to the api-server and not to the scheduler. Airflow's LocalExecutor adopts
no task of a scheduler that died, and so a training that runs well would be ended and begun again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import psutil
from airflow.executors.local_executor import LocalExecutor
from airflow.utils.state import TaskInstanceState

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance

# Seconds by which the clock of the machine and that of its processes may differ.
TOLERANCE = 2.0


class AdoptingLocalExecutor(LocalExecutor):
    """A LocalExecutor that leaves running tasks of another scheduler of this machine alone.

    They report their end to the api-server themselves. Until then they count in their pool, and not in `parallelism`.
    """

    def try_adopt_task_instances(self, tis: Sequence[TaskInstance]) -> Sequence[TaskInstance]:
        """The tasks that do not run any more, for Airflow to schedule again."""
        return [ti for ti in tis if not (ti.state == TaskInstanceState.RUNNING and _runs(ti))]


def _runs(ti: TaskInstance) -> bool:
    """Whether the task's process is there, and no later one that was given its pid."""
    if ti.pid is None or ti.start_date is None:
        return False
    try:
        process = psutil.Process(ti.pid)
        created: float = process.create_time()
        alive = process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    return alive and created <= ti.start_date.timestamp() + TOLERANCE
