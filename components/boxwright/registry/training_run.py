"""Reports a training to the registry while it goes on, in the run that its model will be registered from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from boxwright.errors import BoxwrightError, StoppedError
from boxwright.registry.opening import open_registry
from boxwright.registry.port import TrainingState

# So long a registry that did not answer is left alone: training does not wait for it at every sign.
SECONDS_LEFT_ALONE = 300.0
log = logging.getLogger("boxwright.training")


class TrainingRun:
    """A training under way. What the registry does not take costs a warning, not the training.

    Args:
        model_name: the registered model that the training is for.
        run_id: of the run.
        tracking_uri: of the registry; the one of `Settings` if unset.
        part_of: the run of the study that the training is a trial of, if it is one.
    """

    def __init__(
        self, model_name: str, run_id: str, tracking_uri: str | None = None, part_of: str | None = None
    ) -> None:
        self._registry = open_registry(tracking_uri)
        self._model_name, self._run_id, self._part_of = model_name, run_id, part_of
        self._silent_until = 0.0
        self._has_warned = False

    @contextmanager
    def under_way(self, settings: Mapping[str, Any]) -> Iterator[None]:
        """Tells that the training begins, with its settings, and how it ends.

        Where a kill leaves no time to tell, the next training of the model does.

        Args:
            settings: what is trained with, by name.
        """
        parameters = {name: str(value) for name, value in settings.items()}
        self._tell(self._registry.begin_training, parameters, self._part_of)
        try:
            yield
        except BaseException as error:
            was_stopped = isinstance(error, StoppedError) or not isinstance(error, Exception)
            self._end(TrainingState.KILLED if was_stopped else TrainingState.FAILED)
            raise
        self._end(TrainingState.TRAINED)

    def was_killed(self) -> None:
        """Tells that a training of which was told before has died, and will not go on."""
        if self._tell(self._registry.training_progress):
            self._end(TrainingState.KILLED)

    def epoch(self, record: dict[str, float]) -> None:
        """Writes the record of one epoch; see `Registry.log_epoch`."""
        self._tell(self._registry.log_epoch, record)

    def progress(self, progress: Mapping[str, Any]) -> None:
        """Writes where the training stands within an epoch; see `Registry.log_progress`."""
        self._tell(self._registry.log_progress, progress)

    def should_stop(self) -> bool:
        """Whether a person has asked for its end after an epoch; no where the registry does not answer."""
        return bool(self._tell(self._registry.is_stop_asked))

    def _end(self, state: TrainingState) -> None:
        self._silent_until = 0.0
        self._tell(self._registry.end_training, state)

    def _tell(self, call: Callable[..., Any], *values: Any) -> Any:
        if time.monotonic() < self._silent_until:
            return None
        try:
            return call(self._model_name, self._run_id, *values)
        except BoxwrightError as error:
            self._silent_until = time.monotonic() + SECONDS_LEFT_ALONE
            if not self._has_warned:
                log.warning("no training curves in MLflow: %s", error)
            self._has_warned = True
            return None
