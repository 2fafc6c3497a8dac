from __future__ import annotations

import logging

import httpx
import pytest
from mlflow import MlflowClient
from mlflow.server import app, handlers
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from boxwright.errors import StorageError
from boxwright.registry import tracking
from boxwright.registry.epoch_metrics import EpochMetrics, EpochReader
from boxwright.registry.rest import RestClient


def test_epochs_become_curves_of_the_run_that_is_registered_later(store, monkeypatch, tmp_path):
    uri = f"sqlite:///{store}"
    report = EpochMetrics(uri, "detector", "weekly")
    report({"epoch": 0.0, "loss": 2.0})
    # A repeated task finds the run, and a repeated epoch stands at its step with the same value.
    for reported in (report, EpochMetrics(uri, "detector", "weekly")):
        reported({"epoch": 1.0, "loss": 1.5, "AP": 0.25})
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    run_id = tracking.run_of(client, uri, "detector", "weekly").info.run_id
    found = {(one.step, one.value) for one in client.get_metric_history(run_id, "training/loss")}
    assert found == {(0, 2.0), (1, 1.5)}
    assert client.get_run(run_id).data.metrics["training/AP"] == 0.25
    monkeypatch.setattr(handlers, "_tracking_store", SqlAlchemyStore(uri, str(tmp_path)))
    reader = EpochReader(RestClient("http://localhost:5000", transport=httpx.WSGITransport(app=app)))
    assert reader.read("detector", "weekly") == [{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.5, "AP": 0.25}]
    assert reader.read("detector", "other") == reader.read("other", "weekly") == []


def test_a_server_that_does_not_answer_costs_one_warning(monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    caplog.set_level(logging.WARNING, "boxwright.training")
    report = EpochMetrics("http://127.0.0.1:9", "detector", "weekly")
    report({"epoch": 0.0, "loss": 2.0})
    report({"epoch": 1.0, "loss": 2.0})
    assert [record.getMessage()[:29] for record in caplog.records] == ["no training curves in MLflow:"]
    with pytest.raises(StorageError, match="did not answer"):
        EpochReader(RestClient("http://127.0.0.1:9")).read("detector", "weekly")
