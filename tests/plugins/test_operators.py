"""A task hands its run to the runner, and Airflow retries what may heal and nothing else.

The runner is replaced: what it does is tested with it, and its faults cannot be made on purpose.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from boxwright.airflow_api import XCOM_EXIT_CODE
from boxwright.config import RunConfig
from boxwright.config.run_info import RunInfo
from boxwright.errors import BoxwrightError, DataError, GateError, StorageError, TrainingError, UsageError
from boxwright_airflow.operators import BoxwrightStepOperator, resolve_config, resolve_run, run_info
from boxwright_airflow.schedule import MODEL

PARAMS = {"training": "/data", "output": "/out", "epochs": 3, "validation": None}
RUN_ID = "manual__2026-01-05T03:00:00+00:00"
TRIGGERED, WEEK_END = datetime(2026, 1, 7, 10, tzinfo=UTC), datetime(2026, 1, 5, 3, tzinfo=UTC)
WEEK = RunInfo(run_id=RUN_ID, as_of=WEEK_END, interval_start=WEEK_END - timedelta(days=7))


def context(
    params: dict[str, Any] = PARAMS,
    week_end: datetime | None = WEEK_END,
    run_type: str = "scheduled",
    events: tuple[Any, ...] = (),
    told: dict[str, Any] | None = None,
) -> dict[str, Any]:
    week_start = week_end and week_end - timedelta(days=7)
    dag_run = SimpleNamespace(
        dag_id="training",
        consumed_asset_events=events,
        run_id=RUN_ID,
        run_after=TRIGGERED,
        data_interval_start=week_start,
        data_interval_end=week_end,
        run_type=run_type,
    )
    told = {} if told is None else told
    return {"params": params, "run_id": RUN_ID, "dag_run": dag_run, "ti": SimpleNamespace(xcom_push=told.__setitem__)}


class Runner(SimpleNamespace):
    """Stands for boxwright.pipeline.runner: keeps its calls; answers or fails as told."""

    def __init__(self) -> None:
        super().__init__(calls=[], answer={"fingerprint": "ab12"}, error=None)

    def run_node(self, config: RunConfig, run: RunInfo, node_id: str) -> dict[str, Any]:
        return self._respond(config, run, node_id)

    def _respond(self, *call: Any) -> Any:
        self.calls.append(call)
        if self.error:
            raise self.error
        return self.answer


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    fake = Runner()
    monkeypatch.setattr("boxwright.pipeline.run_node", fake.run_node)
    return fake


def run(params: dict[str, Any] = PARAMS, told: dict[str, Any] | None = None) -> Any:
    operator = BoxwrightStepOperator(task_id="a_task", node="evaluate")
    return operator.execute(context(params, told=told))  # type: ignore[arg-type]


def test_a_task_runs_its_node_for_its_run(runner: Runner) -> None:
    assert run() == {"fingerprint": "ab12"}
    ((config, info, node),) = runner.calls
    assert (info, node) == (WEEK, "evaluate")
    assert (config.training, config.output, config.hyperparameters.epochs) == ("/data", "/out", 3)


@pytest.mark.parametrize("kind", [DataError, UsageError, GateError, TrainingError, BoxwrightError])
def test_what_a_person_must_mend_is_not_tried_again(runner: Runner, kind: type[BoxwrightError]) -> None:
    runner.error = kind("annotations[3]: bbox is empty; remove it")
    told: dict[str, Any] = {}
    with pytest.raises(AirflowFailException, match=r"^annotations\[3\]: bbox is empty; remove it$") as caught:
        run(told=told)
    assert told == {XCOM_EXIT_CODE: kind.exit_code}
    assert caught.value.__suppress_context__ and caught.value.__cause__ is None


def test_a_storage_fault_is_tried_again(runner: Runner) -> None:
    runner.error = StorageError("s3://b/k: no answer in 60 s; try again")
    with pytest.raises(AirflowException, match="no answer") as caught:
        run()
    assert not isinstance(caught.value, AirflowFailException)
    assert caught.value.__suppress_context__


def test_a_bug_keeps_its_own_type(runner: Runner) -> None:
    runner.error = ZeroDivisionError("bug")
    with pytest.raises(ZeroDivisionError):
        run()


@pytest.mark.parametrize(
    "params", [PARAMS | {"epochs": 0}, PARAMS | {"epoch": 3}, PARAMS | {"model_name": "a b"}], ids=str
)
def test_wrong_params_fail_for_good_before_the_node_starts(runner: Runner, params: dict[str, Any]) -> None:
    with pytest.raises(AirflowFailException, match=r"epoch|model_name"):
        run(params)
    assert runner.calls == []


@pytest.mark.parametrize("training", [None, ""])
def test_a_run_of_the_clock_without_data_is_skipped_and_says_why(runner: Runner, training: str | None) -> None:
    with pytest.raises(AirflowSkipException, match="nothing to train on: .* Variable boxwright_training_uri"):
        run(PARAMS | {"training": training})
    assert runner.calls == []


@pytest.mark.parametrize("run_type", ["manual", "backfill", "asset_triggered"])
def test_a_run_that_was_asked_for_fails_without_data(runner: Runner, run_type: str) -> None:
    operator = BoxwrightStepOperator(task_id="a_task", node="evaluate")
    with pytest.raises(AirflowFailException, match="param training is empty, and so is the Airflow Variable"):
        operator.execute(context(PARAMS | {"training": ""}, run_type=run_type))  # type: ignore[arg-type]


def test_a_run_of_the_clock_takes_the_variable(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_TRAINING_URI", "/set")
    run(PARAMS | {"training": ""})
    ((config, _, _),) = runner.calls
    assert config.training == "/set"


def test_log_ins_in_a_summary_or_a_message_are_left_out(runner: Runner) -> None:
    runner.answer = {"tracking": "postgresql://airflow:hunter2@db:5432/mlflow", "nested": [{"uri": "s3://b/k"}]}
    assert run() == {"tracking": "postgresql://db:5432/mlflow", "nested": [{"uri": "s3://b/k"}]}
    runner.error = UsageError("http://me:hunter2@mlflow/api: 403")
    with pytest.raises(AirflowFailException, match=r"^http://mlflow/api: 403$"):
        run()


def test_a_registered_model_is_announced_with_version_and_metrics(runner: Runner) -> None:
    runner.answer = {"model_name": "detector", "version": 3, "archive": "s3://b/a.tar.gz", "metrics": '{"AP": 0.5}'}
    events = {MODEL: SimpleNamespace(extra={})}
    operator = BoxwrightStepOperator(task_id="a_task", node="register_model", outlets=[MODEL])
    operator.execute(context() | {"outlet_events": events})  # type: ignore[arg-type]
    assert events[MODEL].extra == {
        "model_name": "detector",
        "version": 3,
        "reference": "models:/detector/3",
        "archive": "s3://b/a.tar.gz",
        "metrics": {"AP": 0.5},
        "run_id": RUN_ID,
    }


def test_a_run_without_an_interval_stands_for_when_it_was_triggered() -> None:
    triggered = RunInfo(run_id=RUN_ID, as_of=TRIGGERED)
    assert run_info(context(week_end=None)) == triggered
    # Airflow lends a manual run with a logical date the last whole week.
    assert run_info(context(run_type="manual")) == triggered
    assert run_info(context(run_type="asset_triggered")) == triggered
    assert run_info(context(run_type="backfill")) == WEEK


@pytest.mark.parametrize("kind", ["manual", "asset_triggered"])
def test_dates_in_uris_of_a_run_by_hand(kind: str) -> None:
    """From the form it has a logical date and, from Airflow, the last whole interval, which it does not stand for."""
    dated = PARAMS | {"training": "s3://sets/{data_interval_end:%Y-%m-%d}/"}
    with pytest.raises(UsageError, match=r"training=s3://sets/.*stands for a moment .* write \{as_of\}"):
        resolve_run(context(dated, run_type=kind))
    config, _ = resolve_run(context(PARAMS | {"training": "s3://sets/{as_of:%Y-%m-%d}/"}, run_type=kind))
    assert config.training == f"s3://sets/{TRIGGERED:%Y-%m-%d}/"
    config, _ = resolve_run(context(dated, run_type="backfill"))
    assert config.training == f"s3://sets/{WEEK.as_of:%Y-%m-%d}/"


def test_a_run_over_an_interval_builds_on_what_was_there_when_it_began() -> None:
    assert WEEK.parents_until == WEEK.interval_start
    assert run_info(context(week_end=None)).parents_until == TRIGGERED


def test_variables_stand_in_for_empty_params(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_TRAINING_URI", "s3://week/data")
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_OUTPUT_URI", "s3://week/out")
    config = resolve_config({"training": None, "output": ""})
    assert (config.training, config.output) == ("s3://week/data", "s3://week/out")
    assert resolve_config({"training": "/mine"}).training == "/mine"


@pytest.mark.parametrize("name", ["training", "output"])
def test_a_param_without_value_and_variable_fails_for_good(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"AIRFLOW_VAR_BOXWRIGHT_{name.upper()}_URI", raising=False)
    with pytest.raises(AirflowFailException, match=rf"param {name} is empty.* Variable boxwright_{name}_uri"):
        resolve_config({"training": "/data", "output": "/out"} | {name: None})


def test_a_run_knows_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
    page = "https://airflow.example/dags/training/runs/manual__2026-01-05T03%3A00%3A00%2B00%3A00"
    assert run_info(context()).url == page


def event(at: int, name: str = "object_detection_dataset", **extra: Any) -> Any:
    asset = SimpleNamespace(name=name)
    return SimpleNamespace(asset=asset, timestamp=TRIGGERED + timedelta(minutes=at), extra=extra)


def test_what_announced_the_data_says_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_TRAINING_URI", "s3://week/data")
    empty = PARAMS | {"training": None, "annotations_file": "annotations.json"}
    events = (
        event(
            2, training="s3://new/train", test="s3://new/test", annotations_file="a.json", epochs=99, output="s3://x"
        ),
        event(1, training="s3://older/train"),
        event(3, name="another", training="s3://another"),
    )
    config, run = resolve_run(context(empty, None, "asset_triggered", events))
    assert (config.training, config.test, config.annotations_file) == ("s3://new/train", "s3://new/test", "a.json")
    assert (config.output, config.hyperparameters.epochs) == ("/out", 3), "it says where data is, and nothing else"
    assert run.as_of == TRIGGERED
    config, _ = resolve_run(context(PARAMS, None, "asset_triggered", events))
    assert config.training == "/data", "a param that was set wins"
    config, _ = resolve_run(context(empty, None, "asset_triggered", (event(1),)))
    assert config.training == "s3://week/data"


def test_dates_in_uris_are_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_TRAINING_URI", "s3://sets/{data_interval_end:%Y-%m-%d}")
    empty = PARAMS | {"training": None}
    assert resolve_run(context(empty))[0].training == "s3://sets/2026-01-05"
    with pytest.raises(UsageError, match="stands for a moment"):
        resolve_run(context(empty, None, "asset_triggered"))
