from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from mlflow import MlflowClient

from boxwright.errors import StoppedError, StorageError, UsageError
from boxwright.registry import training_state
from boxwright.registry.opening import open_registry
from boxwright.registry.port import Registry, Training, TrainingState
from boxwright.registry.training_run import TrainingRun


def test_epochs_become_curves_of_the_run_that_is_registered_later(
    registry: Registry, tracking_uri: str, mlflow: MlflowClient, release: Any
) -> None:
    assert registry.training("detector", "weekly").epochs == []
    report = TrainingRun("detector", "weekly", tracking_uri)
    report.epoch({"epoch": 0.0, "loss": 2.0})
    # A repeated task finds the run, and a repeated epoch stands at its step with the same value.
    for reported in (report, TrainingRun("detector", "weekly", tracking_uri)):
        reported.epoch({"epoch": 1.0, "loss": 1.5, "AP": 0.25})
    (run,) = mlflow.search_runs([mlflow.get_experiment_by_name("detector").experiment_id])
    found = {(one.step, one.value) for one in mlflow.get_metric_history(run.info.run_id, "training/loss")}
    assert found == {(0, 2.0), (1, 1.5)}
    assert run.data.metrics["training/AP"] == 0.25
    assert registry.training("detector", "weekly").epochs == [
        {"epoch": 0, "loss": 2.0},
        {"epoch": 1, "loss": 1.5, "AP": 0.25},
    ]
    assert registry.training("detector", "other") == registry.training("other", "weekly") == Training()
    version = registry.register(release("weekly"))
    assert mlflow.get_model_version("detector", str(version.version)).run_id == run.info.run_id


def test_a_loss_that_is_no_number_is_kept(registry: Registry) -> None:
    registry.log_epoch("detector", "diverged", {"epoch": 0.0, "loss": math.nan})
    (epoch,) = registry.training("detector", "diverged").epochs
    assert math.isnan(epoch["loss"])


def test_a_server_that_does_not_answer_costs_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    caplog.set_level(logging.WARNING, "boxwright.training")
    report = TrainingRun("detector", "weekly", "http://127.0.0.1:9")
    with report.under_way({"epochs": 2}):
        report.epoch({"epoch": 0.0, "loss": 2.0})
        assert not report.should_stop()
    assert [record.getMessage()[:29] for record in caplog.records] == ["no training curves in MLflow:"]
    with pytest.raises(StorageError, match="did not answer"):
        open_registry("http://127.0.0.1:9", quick=True).training("detector", "weekly")


def test_what_a_training_takes_of_its_machine_becomes_curves(registry: Registry, mlflow: MlflowClient) -> None:
    assert registry.training("detector", "weekly").usage == {}
    registry.begin_training("detector", "weekly", {})
    for cpu, gpu in ((190.0, None), (150.0, 80.0)):
        registry.log_progress("detector", "weekly", {"epoch": 1, "cpu_percent": cpu, "gpu_percent": gpu})
    found = registry.training("detector", "weekly").usage
    assert {name: [value for _, value in sorted(points)] for name, points in found.items()} in (
        {"cpu_percent": [190.0, 150.0], "gpu_percent": [80.0]},
        {"cpu_percent": [150.0, 190.0], "gpu_percent": [80.0]},  # both within a second
    )
    assert all(0 <= seconds < 600 for points in found.values() for seconds, _ in points)
    assert only_run(mlflow).data.metrics["machine/gpu_percent"] == 80.0


def test_who_looks_again_reads_curves_anew_only_where_something_has_changed(
    registry: Registry, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.begin_training("detector", "weekly", {})
    looks = open_registry(tracking_uri)
    asked: list[str] = []
    client = looks._client  # type: ignore[attr-defined]
    history = client.metric_history
    monkeypatch.setattr(client, "metric_history", lambda run, name: asked.append(name) or history(run, name))
    registry.log_epoch("detector", "weekly", {"epoch": 0.0, "loss": math.nan})
    first = looks.training("detector", "weekly")
    assert sorted(asked) == ["training/epoch", "training/loss"]
    assert looks.training("detector", "weekly") is first and len(asked) == 2
    for change, seen in (
        (lambda: registry.log_epoch("detector", "weekly", {"epoch": 1.0, "loss": math.nan}), lambda it: len(it.epochs)),
        (lambda: registry.log_progress("detector", "weekly", {"step": 3}), lambda it: it.progress.get("step")),
        (lambda: registry.ask_to_stop("detector", "weekly"), lambda it: it.is_stop_asked),
    ):
        before = seen(looks.training("detector", "weekly"))
        change()
        assert seen(looks.training("detector", "weekly")) != before


def only_run(mlflow: MlflowClient) -> Any:
    (run,) = mlflow.search_runs([mlflow.get_experiment_by_name("detector").experiment_id])
    return run


def test_the_parameters_of_a_training_are_there_from_its_start(
    registry: Registry, tracking_uri: str, mlflow: MlflowClient, release: Any
) -> None:
    training = TrainingRun("detector", "weekly", tracking_uri)
    with training.under_way({"model_id": "tiny", "epochs": 3}):
        run = only_run(mlflow)
        assert (run.info.status, run.data.params) == ("RUNNING", {"model_id": "tiny", "epochs": "3"})
        training.progress({"epoch": 1, "losses": {"loss": 0.5}})
        progress = registry.training_progress("detector", "weekly")
        assert (progress["state"], progress["epoch"], progress["losses"]) == ("running", 1, {"loss": 0.5})
    assert only_run(mlflow).info.status == "RUNNING", "it ends when its model is registered"
    assert registry.training_progress("detector", "weekly")["state"] == "trained"
    registry.register(release("weekly", model_id="tiny", hyperparameters={"epochs": 3, "seed": 0}))
    run = only_run(mlflow)
    assert (run.info.status, run.data.params) == ("FINISHED", {"model_id": "tiny", "epochs": "3", "seed": "0"})


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), "KILLED"), (StoppedError("asked"), "KILLED"), (ZeroDivisionError(), "FAILED")],
    ids=lambda value: type(value).__name__,
)
def test_a_training_that_ends_early_says_so_and_goes_on_when_it_is_repeated(
    error: BaseException, status: str, tracking_uri: str, mlflow: MlflowClient
) -> None:
    training = TrainingRun("detector", "weekly", tracking_uri)
    with pytest.raises(type(error)), training.under_way({"epochs": 3}):
        raise error
    assert only_run(mlflow).info.status == status
    with TrainingRun("detector", "weekly", tracking_uri).under_way({"epochs": 3}):
        assert only_run(mlflow).info.status == "RUNNING"


def test_the_next_training_of_a_model_finds_those_that_were_killed(
    registry: Registry, tracking_uri: str, mlflow: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def statuses() -> dict[str, str]:
        found = mlflow.search_runs([mlflow.get_experiment_by_name("detector").experiment_id])
        return {run.data.tags["boxwright.run_id"]: run.info.status for run in found}

    with monkeypatch.context() as earlier:
        earlier.setattr(training_state.time, "time", lambda: 1_700_000_000.0)
        registry.begin_training("detector", "dead", {})
        registry.begin_training("detector", "in approval", {})
        registry.end_training("detector", "in approval", TrainingState.TRAINED)
    registry.begin_training("detector", "at work", {})
    registry.begin_training("detector", "next", {})
    assert statuses() == {"dead": "KILLED", "in approval": "RUNNING", "at work": "RUNNING", "next": "RUNNING"}
    registry.begin_training("detector", "dead", {})
    assert statuses()["dead"] == "RUNNING"


def test_a_request_to_stop_is_answered_once(registry: Registry, tracking_uri: str) -> None:
    training = TrainingRun("detector", "weekly", tracking_uri)
    with pytest.raises(StoppedError), training.under_way({}):
        assert not training.should_stop()
        registry.ask_to_stop("detector", "weekly")
        assert training.should_stop()
        raise StoppedError("as asked")
    again = TrainingRun("detector", "weekly", tracking_uri)
    with again.under_way({}):
        assert not again.should_stop()
    for run_id in ("weekly", "unknown"):
        with pytest.raises(UsageError, match=f"run '{run_id}' has no training of detector under way"):
            registry.ask_to_stop("detector", run_id)


def test_a_request_that_came_too_late_is_not_one_to_what_the_run_trains_next(
    registry: Registry, tracking_uri: str
) -> None:
    for _ in range(2):  # a study, and the training that follows in its run
        told = TrainingRun("detector", "weekly", tracking_uri)
        with told.under_way({}):
            assert not told.should_stop()
            registry.ask_to_stop("detector", "weekly")


def test_a_registered_run_stays_finished_whatever_is_trained_again(
    registry: Registry, tracking_uri: str, mlflow: MlflowClient, release: Any
) -> None:
    registry.register(release("weekly"))
    with pytest.raises(ZeroDivisionError), TrainingRun("detector", "weekly", tracking_uri).under_way({"epochs": 1}):
        raise ZeroDivisionError
    assert only_run(mlflow).info.status == "FINISHED"


def test_a_trial_is_a_run_below_that_of_its_study_and_ends_without_a_model(
    mlflow: MlflowClient, tracking_uri: str
) -> None:
    study = TrainingRun("detector", "study", tracking_uri)
    with study.under_way({"tuning_trials": 1}):
        trial = TrainingRun("detector", "study.trial-0", tracking_uri, part_of="study")
        with trial.under_way({"batch_size": 8}):
            trial.epoch({"epoch": 0.0, "AP": 0.25})
    found = mlflow.search_runs([mlflow.get_experiment_by_name("detector").experiment_id])
    runs = {run.data.tags["mlflow.runName"]: run for run in found}
    below, above = runs["study.trial-0"], runs["study"]
    assert below.data.tags["mlflow.parentRunId"] == above.info.run_id
    assert (below.info.status, below.data.metrics["training/AP"]) == ("FINISHED", 0.25)
    # The study's own ends when its model is registered.
    assert above.info.status == "RUNNING"
