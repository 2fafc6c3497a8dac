"""The progress of a training, from the records that it leaves in MLflow after each epoch."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from boxwright.errors import BoxwrightError, StorageError
from boxwright.training import Record
from boxwright_airflow.runs.tasks import Run

if TYPE_CHECKING:
    from boxwright.registry import Registry

# So long nobody waits for an MLflow that did not answer.
_SECONDS_LEFT_ALONE = 15.0


@dataclass(frozen=True)
class Progress:
    """Epochs of a training.

    Attributes:
        planned: how many there shall be; None where the run's settings do not say.
        records: one an epoch that has ended, in order.
        problem: why there are none, where something is wrong.
    """

    planned: int | None
    records: Sequence[Record]
    problem: str = ""

    @property
    def done(self) -> int:
        """Epochs that have ended, those before an interruption too."""
        return int(self.records[-1]["epoch"]) + 1 if self.records else 0

    @property
    def seconds_left(self) -> float | None:
        """The estimated seconds for the remaining epochs, at the speed of the last three."""
        recent = [record["seconds"] for record in self.records[-3:] if "seconds" in record]
        if not recent or self.planned is None:
            return None
        return max(0, self.planned - self.done) * sum(recent) / len(recent)

    def latest(self, name: str) -> float | None:
        """The value of the last epoch that has one."""
        return next((record[name] for record in reversed(self.records) if name in record), None)

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
        return Progress(planned, source.read(config.model_name, run.run_id))
    except BoxwrightError as error:
        return Progress(planned, (), str(error))


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

    def read(self, model_name: str, run_id: str) -> list[Record]:
        """See `Registry.epochs`."""
        with self._lock:
            if time.monotonic() < self._silent_until:
                raise StorageError(self._problem)
            try:
                return self._registry.epochs(model_name, run_id)
            except StorageError as error:
                self._problem, self._silent_until = str(error), time.monotonic() + _SECONDS_LEFT_ALONE
                raise
