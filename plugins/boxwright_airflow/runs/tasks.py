"""The facts of a run in Airflow: its state, its tasks, their results, and the error of one that failed.

Airflow's tables are not part of its public interface; for this page they are read here only.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from boxwright.airflow_api import XCOM_EXIT_CODE
from boxwright.config import RunConfig
from boxwright.errors import StoppedError
from boxwright.pipeline import Leaves, nodes_leaving
from boxwright_airflow.links import XCOM_REPORT
from boxwright_airflow.run_settings import config_from_params, without_tuning
from boxwright_airflow.training_tasks import TRIAL

ENDED = ("success", "failed")
# Of several trials, the state that stands for all.
_TOLD_FIRST = ("running", "up_for_retry", "queued", "success")
_RUNNING = ("running", "deferred", "restarting", "awaiting_input")
_OVER = ("success", "skipped", "failed", "upstream_failed", "removed")
# Where a run was started without them: what they are does not matter here.
_PLACES = {"training": "unset", "output": "unset"}
_LONGEST_LOG = 20_000
log = logging.getLogger("boxwright.pages")


@dataclass(frozen=True)
class Task:
    """One task of a run; of one that is there several times, the one that people have to know of.

    Attributes:
        state: Airflow's name for it; "waiting" while Airflow has none.
        seconds: how long it has run, 0 before its start.
        stamp: changes with each try, and when a try ends.
        returned: its return value, empty where it has none.
        report: URI of the validation report that it announced.
        map_index: of one of several tasks of that id; -1 where there is one alone.
        exit_code: of the error that ended its last try; None where there is none, or it was not Boxwright's.
    """

    task_id: str
    state: str
    seconds: float
    try_number: int
    stamp: str
    returned: Mapping[str, Any]
    report: str | None
    map_index: int = -1
    exit_code: int | None = None

    @property
    def is_running(self) -> bool:
        """Whether it is at work, or waits for what is."""
        return self.state in _RUNNING

    @property
    def is_over(self) -> bool:
        """Whether it will do nothing any more, unless it is cleared."""
        return self.state in _OVER

    @property
    def was_stopped(self) -> bool:
        """Whether it ended because a person asked it to, and can go on."""
        return self.state == "failed" and self.exit_code == StoppedError.exit_code


@dataclass(frozen=True)
class Run:
    """One run of the DAG that trains, or of the one that tunes.

    Attributes:
        state: "queued", "running", "success" or "failed".
        seconds: from its start until its end or now, 0 before its start.
        conf: what it was started with.
        tasks: by id; empty for a run of another DAG. Trials stand as one.
        trials: each of them; empty before the study is opened.
    """

    dag_id: str
    run_id: str
    state: str
    started: datetime | None
    seconds: float
    conf: Mapping[str, Any]
    tasks: Mapping[str, Task]
    trials: Sequence[Task] = ()

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more, unless somebody clears a task."""
        return self.state in ENDED

    @property
    def failed_task(self) -> Task | None:
        """The task that failed, or that failed and will be tried again."""
        return next((task for task in self.tasks.values() if task.state in ("failed", "up_for_retry")), None)

    @property
    def stranded_task(self) -> Task | None:
        """The first task that Airflow has given up, of a run that ended although no task failed.

        It gives up the tasks behind one that failed, and may still do so when that one is already cleared.
        """
        if self.state != "failed" or self.failed_task:
            return None
        return next((task for task in self.tasks.values() if task.state == "upstream_failed"), None)

    @property
    def output(self) -> str | None:
        """Folder or prefix of the run's results; None before a task has announced its report there."""
        found = next((task.report for task in self.tasks.values() if task.report), None)
        return found.rpartition("/")[0] if found else None

    def tasks_leaving(self, result: Leaves) -> list[Task]:
        """The run's tasks that leave this for people, in the order in which they run."""
        return [self.tasks[node.id] for node in nodes_leaving(result) if node.id in self.tasks]

    def task_leaving(self, result: Leaves) -> Task | None:
        """The last of them; None where the run has none."""
        return next(reversed(self.tasks_leaving(result)), None)

    def config(self) -> RunConfig:
        """The settings that the run was started with, and defaults for the rest.

        Raises:
            UsageError: it was started with something that is not valid.
        """
        given = without_tuning({name: value for name, value in self.conf.items() if value is not None})
        return config_from_params(_PLACES | given)


def read_run(dag_id: str, run_id: str, order: Sequence[str]) -> Run | None:
    """A run with those of its tasks that `order` names, in that order; None if there is no such run."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if run is None:
            return None
        tis = session.scalars(select(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id))
        told: dict[tuple[str, int], dict[str, Any]] = {}
        for row in session.scalars(XComModel.get_many(run_id=run_id, dag_ids=dag_id)):
            if row.key in ("return_value", XCOM_REPORT, XCOM_EXIT_CODE):
                told.setdefault((row.task_id, row.map_index), {})[row.key] = XComModel.deserialize_value(row)
        found = [_task(ti, told.get((ti.task_id, ti.map_index), {})) for ti in tis]
        several = sorted((one for one in found if one.map_index >= 0), key=lambda one: one.map_index)
        tasks = {one.task_id: one for one in found if one.map_index < 0} | _together(several)
        trials = [one for one in several if one.task_id == TRIAL.id]
        seconds = _seconds(run.start_date, run.end_date)
        known = {name: tasks[name] for name in order if name in tasks}
        return Run(dag_id, run_id, str(run.state), run.start_date, seconds, dict(run.conf or {}), known, trials)


def _together(several: Sequence[Task]) -> dict[str, Task]:
    """Trials, or machines, as one task, by its id: it goes on while one of them does, and failed where all did."""
    if not several:
        return {}
    first = next((one for state in _TOLD_FIRST for one in several if one.state == state), several[0])
    state = "running" if first.is_over and not all(one.is_over for one in several) else first.state
    seconds = max(one.seconds for one in several)
    return {first.task_id: replace(first, state=state, seconds=seconds, returned={})}


def _task(ti: Any, told: Mapping[str, Any]) -> Task:
    returned, report = told.get("return_value"), told.get(XCOM_REPORT)
    return Task(
        task_id=ti.task_id,
        state=ti.state or "waiting",
        seconds=_seconds(ti.start_date, ti.end_date),
        try_number=ti.try_number,
        stamp=f"{ti.try_number} {ti.end_date}",
        returned=returned if isinstance(returned, dict) else {},
        report=report if isinstance(report, str) and report.endswith(".html") else None,
        map_index=ti.map_index,
        exit_code=told.get(XCOM_EXIT_CODE),
    )


def _seconds(start: datetime | None, end: datetime | None) -> float:
    return 0.0 if start is None else max(0.0, ((end or datetime.now(UTC)) - start).total_seconds())


def error_line(run: Run, task: Task) -> str:
    """The error of a task in one line, from the log of its last try; says so without a log."""
    from boxwright.airflow_api import error_in_log

    if task.try_number < 1:
        return "it has no log"
    try:
        return error_in_log(_log(run, task))
    except Exception as error:  # whatever keeps the logs, the page has more to show than this line
        log.warning("the log of %s of run %s: %r", task.task_id, run.run_id, error)
        return f"its log cannot be read ({type(error).__name__}); the task's page in Airflow may know more"


def _log(run: Run, task: Task) -> list[dict[str, Any]]:
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.utils.log.log_reader import TaskLogReader
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.orm import joinedload

    with create_session() as session:
        query = select(TaskInstance).where(
            TaskInstance.dag_id == run.dag_id,
            TaskInstance.run_id == run.run_id,
            TaskInstance.task_id == task.task_id,
            TaskInstance.map_index == task.map_index,
        )
        # Reading a log may close the session, and then asks for these.
        needed = (TaskInstance.dag_run, TaskInstance.dag_model)
        query = query.options(
            *map(joinedload, needed), joinedload(TaskInstance.trigger).joinedload(Trigger.triggerer_job)
        )
        stream, _ = TaskLogReader().read_log_chunks(session.scalars(query).one(), task.try_number, {})
        return [_event(one) for one in stream][-_LONGEST_LOG:]


def _event(message: Any) -> dict[str, Any]:
    return dict(message.model_dump()) if hasattr(message, "model_dump") else {"event": str(message)}
