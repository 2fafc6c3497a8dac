"""A run over an interval chooses its seed when the earlier intervals have, and is refused where they never could.

The questions to Airflow are answered here; the live tests ask a real one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from boxwright.errors import StorageError, UsageError
from boxwright_airflow import seed_choice
from boxwright_airflow.seed_choice import ChooseSeedOperator

FIRST = datetime(2026, 1, 5, 3, tzinfo=UTC)
PARAMS = {"training": "/data", "output": "/out"}


def week(number: int, state: str = "running", run_type: str = "backfill") -> Any:
    start = FIRST + timedelta(weeks=number)
    return SimpleNamespace(
        dag_id="training",
        run_id=f"{run_type}__{number}",
        run_type=run_type,
        state=state,
        logical_date=start,
        data_interval_start=start,
        data_interval_end=start + timedelta(weeks=1),
        run_after=start + timedelta(weeks=1),
        consumed_asset_events=[],
    )


@pytest.fixture
def poke(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pokes the operator of a run, among other runs."""

    def call(mine: Any, *others: Any, registered: tuple[str, ...] = (), pokes_before: int = 9) -> Any:
        def previous(dag_id: str, before: datetime, state: str) -> Any:
            assert dag_id == "training"
            found = [one for one in others if one.state == state and one.logical_date < before]
            return max(found, key=lambda one: one.logical_date, default=None)

        monkeypatch.setattr(seed_choice, "_previous", previous)
        monkeypatch.setattr(seed_choice, "_registered_runs", lambda name: set(registered))
        monkeypatch.setattr("boxwright.pipeline.choose_seed", lambda config, run: f"seed of {run.run_id}")
        operator = ChooseSeedOperator(task_id="choose_seed")
        return operator.poke({"params": PARAMS, "dag_run": mine, "task_reschedule_count": pokes_before})  # type: ignore[arg-type,typeddict-item]

    return call


def test_it_waits_for_every_earlier_interval_that_is_running(poke: Any) -> None:
    assert not poke(week(2), week(1))
    assert not poke(week(2), week(0))
    assert not poke(week(3), week(0), week(2, "success"), week(1, "failed"))
    assert not poke(week(2, run_type="scheduled"), week(0))


def test_it_goes_on_when_they_have_ended(poke: Any) -> None:
    answer = poke(week(2), week(0, "success"), week(1, "failed"), week(3))
    assert answer and answer.xcom_value == "seed of backfill__2"
    assert poke(week(0), week(1), week(2, "queued"))


def test_a_run_that_has_its_version_is_not_waited_for(poke: Any) -> None:
    assert poke(week(2), week(1), week(0, "queued"), registered=("backfill__1", "backfill__0"))
    assert not poke(week(2), week(1), week(0), registered=("backfill__1",))


def test_an_earlier_interval_that_is_queued_behind_it_is_told(poke: Any) -> None:
    with pytest.raises(AirflowFailException, match="backfill__3 came before backfill__1, which .*without 'run backw"):
        poke(week(3), week(1, "queued"))
    assert not poke(week(3), week(1, "queued"), pokes_before=0), "it may be about to start"
    assert not poke(week(3, run_type="scheduled"), week(1, "queued")), "a backfill has slots of its own"


def test_runs_that_stand_for_a_moment_neither_wait_nor_are_waited_for(poke: Any) -> None:
    moment = week(5, run_type="manual")
    assert poke(moment, week(1), week(2, "queued"))
    assert poke(week(6), week(5, run_type="manual"), week(4, "queued", "asset_triggered"))


@pytest.mark.parametrize(("error", "kind"), [(UsageError, AirflowFailException), (StorageError, AirflowException)])
def test_errors_are_retried_where_that_helps(
    error: type[Exception], kind: type[Exception], poke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise error("models:/detector/9 does not exist")

    poke(week(0))
    monkeypatch.setattr("boxwright.pipeline.choose_seed", fail)
    with pytest.raises(kind, match="does not exist") as caught:
        ChooseSeedOperator(task_id="choose_seed").poke(
            {"params": PARAMS, "dag_run": week(0), "ti": SimpleNamespace(xcom_push=lambda key, value: None)}
        )  # type: ignore[arg-type,typeddict-item]
    assert isinstance(caught.value, AirflowFailException) == (error is UsageError)


def test_the_other_machines_of_a_training_are_called_beside_the_seed(
    poke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    poke(week(0))
    context = {"params": PARAMS | {"training_machines": 2}, "dag_run": week(0)}
    for chosen, branches in {
        "fetch_pretrained": ["fetch_pretrained", "call_machines"],
        "reuse_version": ["reuse_version"],
    }.items():
        monkeypatch.setattr("boxwright.pipeline.choose_seed", lambda config, run, chosen=chosen: chosen)
        assert ChooseSeedOperator(task_id="choose_seed").poke(context).xcom_value == branches  # type: ignore[arg-type]


def test_waiting_holds_no_worker() -> None:
    assert ChooseSeedOperator(task_id="choose_seed").reschedule
