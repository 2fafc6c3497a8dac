"""Reports a training's epochs to the registry, in the run that its model will be registered from."""

from __future__ import annotations

import logging

from boxwright.errors import BoxwrightError
from boxwright.registry.opening import open_registry

log = logging.getLogger("boxwright.training")


class EpochMetrics:
    """Takes each epoch's record while training goes on. What it cannot write costs a warning, not the training.

    Args:
        model_name: the registered model that the training is for.
        run_id: of the run.
        tracking_uri: of the registry; the one of `Settings` if unset.
    """

    def __init__(self, model_name: str, run_id: str, tracking_uri: str | None = None) -> None:
        self._registry = open_registry(tracking_uri)
        self._model_name, self._run_id = model_name, run_id
        self._silent = False

    def __call__(self, record: dict[str, float]) -> None:
        """Writes the record of one epoch; see `Registry.log_epoch`."""
        if self._silent:
            return
        try:
            self._registry.log_epoch(self._model_name, self._run_id, record)
        except BoxwrightError as error:
            self._silent = True
            log.warning("no training curves in MLflow: %s", error)
