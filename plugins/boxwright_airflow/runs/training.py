"""The progress of a training, from what it leaves in MLflow: a record after each epoch, and signs in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from boxwright.errors import BoxwrightError, StorageError
from boxwright.training import Record, seconds_of_an_epoch
from boxwright_airflow.runs.tasks import Run

if TYPE_CHECKING:
    from boxwright.registry import Registry, Training

# Seconds during which an MLflow that did not answer is not asked again.
_SECONDS_LEFT_ALONE = 15.0


@dataclass(frozen=True)
class Progress:
    """Epochs of a training.

    Attributes:
        planned: how many there shall be; None where the run's settings do not say.
        records: one an epoch that has ended, in order.
        problem: why there are none, where something is wrong.
        within: what the training last said from within an epoch, see `StepProgress`; empty before it has.
        stop_asked: whether somebody asked it to end after the epoch that is under way.
        usage: what it takes of its machine, as (seconds, value) by name.
    """

    planned: int | None
    records: Sequence[Record]
    problem: str = ""
    within: dict[str, Any] = field(default_factory=dict)
    stop_asked: bool = False
    usage: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    @property
    def is_under_way(self) -> bool:
        """Whether the training has said that it began, and not that it ended."""
        from boxwright.registry import TrainingState

        return self.within.get("state") == TrainingState.RUNNING

    @property
    def study(self) -> str | None:
        """The study whose trials are under way; None where it is a training that is, or nothing."""
        return str(self.within["study"]) if self.is_under_way and "study" in self.within else None

    @property
    def done(self) -> int:
        """Epochs that have ended, those before an interruption too."""
        return int(self.records[-1]["epoch"]) + 1 if self.records else 0

    @property
    def seconds_left(self) -> float | None:
        """The estimated seconds until the last epoch has ended, start-up left out."""
        if self.step is not None and self.within.get("seconds_left") is not None:
            return float(self.within["seconds_left"])
        each = seconds_of_an_epoch(self.records)
        return None if each is None or self.planned is None else max(0, self.planned - self.done) * each

    @property
    def step(self) -> str | None:
        """The progress of the current epoch, in words; None where its training has not reported it."""
        if self.within.get("epoch") != self.done + 1 or not self.within.get("steps"):
            return None
        return "{doing}, step {step} of {steps}".format(**self.within)

    def latest(self, name: str) -> float | None:
        """The value of the last epoch that has one."""
        return next((record[name] for record in reversed(self.records) if name in record), None)

    def usage_curve(self, name: str) -> list[tuple[float, float]]:
        """(minutes since the training first began, value) of one of the names of `usage`."""
        return [(seconds / 60, value) for seconds, value in self.usage.get(name, ())]

    def curve(self, name: str) -> list[tuple[float, float]]:
        """(epoch from 1, value) of every epoch that has one."""
        return [(record["epoch"] + 1, record[name]) for record in self.records if name in record]


def progress_of(run: Run) -> Progress:
    """The progress of a run's training, with any failure."""
    from boxwright.config import Settings
    from boxwright.model import hyperparameters_of

    try:
        config = run.config()
        planned = hyperparameters_of(config).epochs
    except BoxwrightError as error:
        return Progress(None, (), f"the run's settings are not valid: {error}")
    try:
        source = source_of(Settings.from_environment().tracking_uri)
        found = source.read(config.model_name, run.run_id)
        return Progress(planned, found.epochs, "", found.progress, found.is_stop_asked, found.usage)
    except BoxwrightError as error:
        return Progress(planned, (), str(error))


def ask_to_stop(run: Run) -> None:
    """Asks the run's training to end after the epoch that is under way, or its study to begin no more trials.

    Raises:
        UsageError: the run has none under way, or was started with settings that are not valid.
        StorageError: MLflow does not answer.
    """
    from boxwright.config import Settings

    source_of(Settings.from_environment().tracking_uri).ask_to_stop(run.config().model_name, run.run_id)


@lru_cache(maxsize=4)
def source_of(tracking_uri: str) -> Source:
    """The one source of a server, which keeps its connection."""
    from boxwright.registry import open_registry

    return Source(open_registry(tracking_uri, quick=True))


class Source:
    """Asks the registry, and leaves it alone for a while where it did not answer: pages ask every few seconds."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._problem, self._silent_until = "", 0.0

    def read(self, model_name: str, run_id: str) -> Training:
        """The facts that the registry has of a training.

        Raises:
            StorageError: MLflow does not answer, or has not a moment ago.
        """
        with self._lock:
            if time.monotonic() < self._silent_until:
                raise StorageError(self._problem)
            try:
                return self._registry.training(model_name, run_id)
            except StorageError as error:
                self._problem, self._silent_until = str(error), time.monotonic() + _SECONDS_LEFT_ALONE
                raise

    def ask_to_stop(self, model_name: str, run_id: str) -> None:
        """`Registry.ask_to_stop`."""
        self._registry.ask_to_stop(model_name, run_id)
