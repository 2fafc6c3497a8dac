"""The tasks beside a training: whom they wait for, when they train, and when they end.

Airflow's answers and the training are made here; `tests/cluster` has real ones.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from boxwright.config import RunConfig
from boxwright.config.run_info import RunInfo
from boxwright.errors import OutOfMemoryError, StorageError
from boxwright.training.generation import LostMachineError
from boxwright_airflow.machines import CallMachinesOperator, TrainAlongOperator

RUN_ID = "manual__2026-01-05T03:00:00+00:00"


def context(state: str | None, machines: int = 3) -> Any:
    """Of a run whose step of the training is in a state."""
    asked = {"dag_id": "training", "task_ids": ["fine_tune"], "run_ids": [RUN_ID]}

    def get_task_states(**given: Any) -> dict[str, Any]:
        assert given == asked
        return {} if state is None else {RUN_ID: {"fine_tune": state}}

    dag_run = SimpleNamespace(
        dag_id="training", run_id=RUN_ID, run_type="manual", run_after="2026-01-07T10:00:00+00:00",
        data_interval_end=None, consumed_asset_events=[],
    )  # fmt: skip
    ti = SimpleNamespace(get_task_states=get_task_states, xcom_push=lambda key, value: None)
    params = {"training": "/data", "output": "/out", "training_machines": machines}
    return {"params": params, "dag_run": dag_run, "ti": ti}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands for the training of another machine: keeps its calls; answers or fails as told."""
    told = SimpleNamespace(calls=[], answer=True, error=None)

    def train_beside(config: RunConfig, run: RunInfo, rank: int) -> bool:
        told.calls.append((config.training_machines, run.run_id, rank))
        if told.error:
            raise told.error
        return bool(told.answer)

    monkeypatch.setattr("boxwright.pipeline.train_beside", train_beside)
    return told


@pytest.mark.parametrize("state", [None, "scheduled", "queued", "up_for_retry"])
def test_nobody_is_called_before_the_first_machine_has_its_slot(state: str | None) -> None:
    assert not CallMachinesOperator(task_id="call_machines").poke(context(state))


def test_all_others_are_called_by_rank() -> None:
    answer = CallMachinesOperator(task_id="call_machines").poke(context("running"))
    assert answer and answer.xcom_value == [1, 2]


def test_a_machine_trains_when_it_is_called(trained: Any) -> None:
    assert TrainAlongOperator(task_id="train_along", rank=2).poke(context("running")) is True
    assert trained.calls == [(3, RUN_ID, 2)]


def test_a_machine_that_nobody_calls_or_that_lost_another_waits_without_a_slot(trained: Any) -> None:
    operator = TrainAlongOperator(task_id="train_along", rank=1)
    assert operator.reschedule and CallMachinesOperator(task_id="call_machines").reschedule
    trained.answer = False
    assert operator.poke(context("running")) is False
    trained.error = LostMachineError("generation 1 of 3 machines ends")
    assert operator.poke(context("running")) is False
    assert operator.poke(context("up_for_retry")) is False, "the first machine will call again"


@pytest.mark.parametrize(
    ("error", "kind"), [(OutOfMemoryError, AirflowFailException), (StorageError, AirflowException)]
)
def test_a_fault_of_its_own_is_tried_again_where_that_helps(
    error: type[Exception], kind: type[Exception], trained: Any
) -> None:
    trained.error = error("halve batch_size")
    with pytest.raises(kind, match="halve batch_size") as caught:
        TrainAlongOperator(task_id="train_along", rank=1).poke(context("running"))
    assert isinstance(caught.value, AirflowFailException) == (error is OutOfMemoryError)


def test_a_training_that_is_done_needs_no_more_machines(trained: Any) -> None:
    assert TrainAlongOperator(task_id="train_along", rank=1).poke(context("success")) is True
    assert trained.calls == []


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "skipped", "removed"])
def test_a_training_that_failed_ends_those_beside_it(state: str, trained: Any) -> None:
    for operator in (CallMachinesOperator(task_id="beside"), TrainAlongOperator(task_id="beside", rank=1)):
        with pytest.raises(AirflowFailException, match=f"fine_tune is {state}: .*clear it and beside together"):
            operator.poke(context(state))
    assert trained.calls == []
