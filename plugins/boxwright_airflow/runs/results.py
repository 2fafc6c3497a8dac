"""The results of a run for people: the validation report, the gate's verdict, the metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from boxwright.dataset.validation import REPORT_FILE, Report
from boxwright.errors import BoxwrightError, DataError
from boxwright.evaluation import GateReport
from boxwright.pipeline import Leaves
from boxwright.storage import join, read_bytes
from boxwright_airflow.runs.tasks import Run, Task

GATE_FILE = "gate.json"
# A report of a hundred thousand bad records is not looked at here, but on its page.
_LIMIT = 16_000_000
_KEPT = 64
Value = TypeVar("Value")


@dataclass(frozen=True)
class Result(Generic[Value]):
    """One file of a run's output.

    Attributes:
        value: what it says; None where it is not there (yet) or cannot be read.
        problem: why it cannot be read although it should be there.
        task_id: the task that wrote it; empty where there is none yet.
    """

    value: Value | None = None
    problem: str = ""
    task_id: str = ""


def validation(run: Run) -> Result[Report]:
    """The validation report; that of the download, which covers the images too, if there is one."""
    for task in reversed(run.tasks_leaving(Leaves.VALIDATION_REPORT)):
        if task.report and task.state in ("success", "failed"):
            return _read(run, task, REPORT_FILE, Report.parse)
    return Result()


def gate(run: Run) -> Result[GateReport]:
    """The quality gate's checks."""
    task = run.task_leaving(Leaves.GATE_REPORT)
    if task is None or task.state not in ("success", "failed"):
        return Result()
    return _read(run, task, GATE_FILE, _gate_report)


def _gate_report(data: bytes, name: str) -> GateReport:
    try:
        return GateReport.model_validate({"checks": json.loads(data)["checks"]})
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{name}: expected a gate's report ({type(error).__name__})") from None


def _read(run: Run, task: Task, name: str, parse: Callable[[bytes, str], Value]) -> Result[Value]:
    if run.output is None:
        return Result()
    uri = join(run.output, name)
    try:
        return Result(_parsed(uri, task.stamp, parse), task_id=task.task_id)
    except BoxwrightError as error:
        again = "try again when storage answers" if error.retryable else f"clear {task.task_id} to write it again"
        return Result(problem=f"{uri} cannot be read: {error}; {again}")


@lru_cache(maxsize=_KEPT)
def _parsed(uri: str, stamp: str, parse: Callable[[bytes, str], Any]) -> Any:
    """Read once for each try of the task that wrote it: pages ask every few seconds."""
    del stamp
    return parse(read_bytes(uri, _LIMIT), uri)
