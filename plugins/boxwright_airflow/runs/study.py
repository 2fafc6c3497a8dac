"""The study of a run: what became of its trials, and whether it can be stopped; its report has the rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from boxwright.pipeline import Phase, nodes_of
from boxwright_airflow.runs.tasks import Run, Task
from boxwright_airflow.runs.training import progress_of

_TRIAL_STATES = ("complete", "pruned", "failed", "under way", "waiting", "not begun")


@dataclass(frozen=True)
class Study:
    """The part of the page about a study.

    Attributes:
        text: what became of its trials, in a sentence.
        verdict: of the proof, empty before it.
        stamp: another one where the report has been written again.
        under_way: whether it can be asked to stop.
        stopping: whether somebody has asked it to.
    """

    text: str
    verdict: str
    stamp: str
    under_way: bool
    stopping: bool


def study_of(run: Run) -> Study | None:
    """The study of a run; None where it has none, or not yet."""
    if not run.trials:
        return None
    choice = run.tasks[nodes_of(Phase.STUDY)[-1].id]
    states = Counter(_trial_state(one) for one in run.trials)
    shown = ", ".join(f"{states[state]} {state}" for state in _TRIAL_STATES if states[state])
    # MLflow need not be asked of what has ended.
    progress = progress_of(run) if choice.state == "waiting" else None
    under_way = progress is not None and progress.study is not None
    return Study(
        f"{len(run.trials)} trials: {shown}.",
        str(choice.returned.get("verdict", "")),
        f"{shown} {choice.stamp}",
        under_way,
        under_way and progress is not None and progress.stop_asked,
    )


def _trial_state(task: Task) -> str:
    """What became of a trial, in words; that of one that has ended is what its task returned."""
    if task.state == "success":
        return str(task.returned.get("state", "not begun"))
    return "failed" if task.is_over else "under way" if task.is_running else "waiting"
