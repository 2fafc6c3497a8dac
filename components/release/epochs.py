"""The metrics of a training, epoch by epoch, in the MLflow run that its model will be registered from: to and fro."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from components.errors import BoxwrightError
from components.release import tracking

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
        tracking_uri: of MLflow.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri

    def read(self, model_name: str, run_id: str) -> list[dict[str, float]]:
        """One record an epoch, in order, with what was measured in it; empty before the first epoch has ended.

        Raises:
            StorageError: MLflow does not answer.
            UsageError: it refuses.
        """
        with tracking.explained(self._tracking_uri):
            run = tracking.find_run(self._client, model_name, run_id)
            epochs: dict[int, dict[str, float]] = {}
            for name in sorted(run.data.metrics if run else ()):
                if name.startswith(_PREFIX):
                    for metric in self._client.get_metric_history(run.info.run_id, name):
                        epochs.setdefault(metric.step, {})[name.removeprefix(_PREFIX)] = metric.value
            return [{**record, "epoch": float(step)} for step, record in sorted(epochs.items())]

    @cached_property
    def _client(self) -> Any:
        return tracking.connect(self._tracking_uri, tracking.writer_lock(self._tracking_uri))
