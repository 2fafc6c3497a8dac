"""The trials of a study, one after the other or several at a time, until no more may begin."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path

from boxwright.errors import TrainingError
from boxwright.tuning.pool import Ended, Job, Pool, pool_of
from boxwright.tuning.records import Trial, TrialState
from boxwright.tuning.study import OUT_OF_MEMORY, Study
from boxwright.tuning.trial import trial_name

log = logging.getLogger("boxwright.tuning")
_OUT_OF_MEMORY_SIGNAL = 9


def run_trials(
    study: Study,
    folder: Path,
    images: int,
    on_change: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> str:
    """Runs trials; those that an earlier process left behind go on first, under their own numbers.

    Args:
        study: to ask and to tell.
        folder: of the study, with `study.json`.
        images: of the training split.
        on_change: is called when a trial has begun or ended.
        should_stop: whether somebody asked for the end; asked when a trial could begin.

    Returns:
        Why no more trials were begun.

    Raises:
        TrainingError: trials failed three times in the same way, or none came to its end.
    """
    left = deque(one.number for one in study.trials() if one.state is TrialState.RUNNING)
    with pool_of(folder, study.tuning.parallel) as pool:
        while True:
            ended = _fill(pool, study, left, images, should_stop)
            on_change()
            if pool.is_empty:
                break
            _tell(study, pool.wait())
    if study.has_failed:
        raise TrainingError(f"the study {study.name} ended: {ended}")
    if not study.ranked():
        raise TrainingError(f"no trial of {study.name} came to its end: {reasons(study.trials())}")
    return ended or "no more trials"


def ended_or_stopped(study: Study, images: int, should_stop: Callable[[], bool]) -> str | None:
    """`Study.ended`, of a study that takes up a request to stop."""
    if study.ended(images) is None and should_stop():
        study.stop()
    return study.ended(images)


def _fill(pool: Pool, study: Study, left: deque[int], images: int, should_stop: Callable[[], bool]) -> str | None:
    """Begins as many trials as there is room for; returns why no more may begin, where that is so."""
    while True:
        ended = ended_or_stopped(study, images, should_stop)
        if not pool.has_room:
            return ended
        number = left.popleft() if left else None if ended else study.ask()
        if number is None:
            return ended or "all combinations of the grid"
        log.info("%s", begun(study, number))
        pool.start(Job(trial_name(number), "trial", str(number)))


def _tell(study: Study, ended: Ended) -> None:
    """Tells the study of a trial whose process could not, and says how it ended."""
    number = int(ended.job.argument)
    if ended.problem:
        is_memory = ended.signal == _OUT_OF_MEMORY_SIGNAL
        study.fail(number, OUT_OF_MEMORY if is_memory else ended.kind or "", ended.problem)
    study.fail(number, "ended without a word", "its process ended without a word")  # where nothing was told before
    log.info("%s", told(study, number))


def begun(study: Study, number: int) -> str:
    """A trial that begins or goes on, with its settings, on one line."""
    return f"trial {number}: {shown(study.settings_of(number))}"


def told(study: Study, number: int) -> str:
    """What became of a trial, and the best so far, on one line."""
    trial = next(one for one in study.trials() if one.number == number)
    value = "" if trial.value is None else f", {study.tuning.objective} {trial.value:.4f}"
    reason = f" ({trial.reason})" if trial.reason else ""
    best = study.ranked()
    so_far = f"; best so far trial {best[0].number} with {best[0].value:.4f}" if best else ""
    return f"trial {number} is {trial.state.value}{value}{reason}{so_far}"


def reasons(trials: list[Trial]) -> str:
    """Why trials did not come to their end."""
    found = dict.fromkeys(one.reason for one in trials if one.reason)
    return "; ".join([*found][:3]) or "none was begun"


def shown(settings: dict[str, bool | int | float | str]) -> str:
    """Settings on one line."""
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in settings.items()
    )
