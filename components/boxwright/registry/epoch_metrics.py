"""The metrics of a training, epoch by epoch, in the MLflow run that its model will be registered from: to and fro."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from boxwright.errors import BoxwrightError
from boxwright.registry import tracking
from boxwright.registry.rest import RestClient

log = logging.getLogger("boxwright.training")
_PREFIX = "training/"


class EpochMetrics:
    """Takes each epoch's record while training goes on. What it cannot write costs a warning, not the training.

    Args:
        tracking_uri: of MLflow.
        model_name: names the experiment.
        run_id: of the run; its MLflow run is made, or found.
    """

    def __init__(self, tracking_uri: str, model_name: str, run_id: str) -> None:
        self._tracking_uri = tracking_uri
        self._model_name = model_name
        self._run_id = run_id
        self._silent = False

    def __call__(self, record: dict[str, float]) -> None:
        """Writes the record of one epoch under `training/`; written again, it stands there once more at its step."""
        if self._silent:
            return
        try:
            with tracking.explained(self._tracking_uri):
                self._write(record)
        except BoxwrightError as error:
            self._silent = True
            log.warning("no training curves in MLflow: %s", error)

    def _write(self, record: dict[str, float]) -> None:
        from mlflow.entities import Metric

        client, mlflow_run = self._run
        time, step = mlflow_run.info.start_time, int(record["epoch"])
        metrics = [Metric(f"{_PREFIX}{tracking.key(name)}", value, time + step, step) for name, value in record.items()]
        client.log_batch(mlflow_run.info.run_id, metrics=metrics)

    @cached_property
    def _run(self) -> tuple[Any, Any]:
        lock = tracking.writer_lock(self._tracking_uri)
        client = tracking.connect(self._tracking_uri, lock)
        with lock:
            return client, tracking.run_of(client, self._tracking_uri, self._model_name, self._run_id)


class EpochReader:
    """Reads back what `EpochMetrics` wrote, also while training goes on.

    Args:
        client: of the server.
    """

    def __init__(self, client: RestClient) -> None:
        self._client = client

    def read(self, model_name: str, run_id: str) -> list[dict[str, float]]:
        """One record an epoch, in order, with what was measured in it; empty before the first epoch has ended.

        Raises:
            StorageError: MLflow does not answer.
            UsageError: it refuses.
        """
        run = self._client.find_run(model_name, run_id)
        if run is None:
            return []
        epochs: dict[int, dict[str, float]] = {}
        for name in sorted(run.metrics):
            if name.startswith(_PREFIX):
                for step, value in self._client.metric_history(run, name):
                    epochs.setdefault(step, {})[name.removeprefix(_PREFIX)] = value
        return [{**record, "epoch": float(step)} for step, record in sorted(epochs.items())]
