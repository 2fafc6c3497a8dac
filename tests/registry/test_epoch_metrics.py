from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from mlflow import MlflowClient

from boxwright.errors import StorageError
from boxwright.registry.epoch_metrics import EpochMetrics
from boxwright.registry.opening import open_registry
from boxwright.registry.port import Registry


def test_epochs_become_curves_of_the_run_that_is_registered_later(
    registry: Registry, tracking_uri: str, mlflow: MlflowClient, release: Any
) -> None:
    assert registry.epochs("detector", "weekly") == []
    report = EpochMetrics("detector", "weekly", tracking_uri)
    report({"epoch": 0.0, "loss": 2.0})
    # A repeated task finds the run, and a repeated epoch stands at its step with the same value.
    for reported in (report, EpochMetrics("detector", "weekly", tracking_uri)):
        reported({"epoch": 1.0, "loss": 1.5, "AP": 0.25})
    (run,) = mlflow.search_runs([mlflow.get_experiment_by_name("detector").experiment_id])
    found = {(one.step, one.value) for one in mlflow.get_metric_history(run.info.run_id, "training/loss")}
    assert found == {(0, 2.0), (1, 1.5)}
    assert run.data.metrics["training/AP"] == 0.25
    assert registry.epochs("detector", "weekly") == [{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.5, "AP": 0.25}]
    assert registry.epochs("detector", "other") == registry.epochs("other", "weekly") == []
    version = registry.register(release("weekly"))
    assert mlflow.get_model_version("detector", str(version.version)).run_id == run.info.run_id


def test_a_loss_that_is_no_number_is_kept(registry: Registry) -> None:
    registry.log_epoch("detector", "diverged", {"epoch": 0.0, "loss": math.nan})
    (epoch,) = registry.epochs("detector", "diverged")
    assert math.isnan(epoch["loss"])


def test_a_server_that_does_not_answer_costs_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    caplog.set_level(logging.WARNING, "boxwright.training")
    report = EpochMetrics("detector", "weekly", "http://127.0.0.1:9")
    report({"epoch": 0.0, "loss": 2.0})
    report({"epoch": 1.0, "loss": 2.0})
    assert [record.getMessage()[:29] for record in caplog.records] == ["no training curves in MLflow:"]
    with pytest.raises(StorageError, match="did not answer"):
        open_registry("http://127.0.0.1:9", quick=True).epochs("detector", "weekly")
