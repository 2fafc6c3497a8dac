"""The pool of trainings on a run's page: what it can never hold, and trials that it has one at a time."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from typing import Any

import pytest

TUNING = "object_detection_tuning"
ONE_AFTER_THE_OTHER = "The pool gpu has 1 slot, so that trials run one after the other."


@pytest.fixture
def give_slots(written_dags: dict[str, Any]) -> Iterator[Callable[[int | None], None]]:
    """Gives the pool so many slots, or removes it."""
    from airflow.models.pool import Pool

    def give(slots: int | None) -> None:
        if slots is None:
            Pool.delete_pool("gpu")
        else:
            Pool.create_or_update_pool("gpu", slots, "trainings", include_deferred=False)

    yield give
    give(1)


@pytest.fixture
def look(visit: Any, tracking: str) -> Callable[..., str]:
    def look(run_id: str, dag_id: str = "object_detection_training") -> str:
        return html.unescape(visit("viewer").get(f"/runs/{dag_id}/{run_id}").text)

    return look


def test_machines_that_would_wait_for_ever_are_told_at_once(make_run: Any, look: Any, give_slots: Any) -> None:
    run = make_run("wide", training="/t", output="/o", model_id="tiny", training_machines=2)
    said = "training_machines=2, and the pool gpu has 1 slot: each machine needs one, all at the same time."
    assert said in look("wide")
    give_slots(2)
    assert "the pool gpu" not in look("wide")
    give_slots(-1)
    assert "the pool gpu" not in look("wide")
    give_slots(None)
    assert "Airflow has no pool gpu" in look("wide")
    run.set_state("failed")
    assert "no pool gpu" not in look("wide")


def test_a_run_that_has_room_says_nothing_of_it(make_run: Any, look: Any) -> None:
    make_run("narrow", training="/t", output="/o", model_id="tiny")
    assert "pool gpu" not in look("narrow")


def test_trials_that_run_one_after_the_other_say_why(make_run: Any, look: Any, give_slots: Any) -> None:
    run = make_run("alone", dag_id=TUNING, model_id="tiny", model_name="alone", tuning_trials=2)
    run.trials(("running", None), (None, None))
    assert ONE_AFTER_THE_OTHER in look("alone", TUNING)
    give_slots(2)
    assert ONE_AFTER_THE_OTHER not in look("alone", TUNING)
