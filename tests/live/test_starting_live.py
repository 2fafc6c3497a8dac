"""Runs that nobody starts by hand, in a real Airflow: backfills in any order, new data, a word awaited, reuse."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from boxwright.airflow_api.trigger import DAG_ID
from live.weekly_runs import CONF, FIRST_WEEK, MODEL, backfill, by_week, dataset_of, end_of, run_of

if TYPE_CHECKING:
    from live.conftest import LiveStack


def chain(stack: LiveStack) -> dict[int, str | None]:
    return {week: version.parent for week, version in by_week(stack.registry).items()}


def assert_chain(stack: LiveStack, weeks: int) -> None:
    """Each week's parent is the week before, and today's champion stays and is nobody's parent."""
    versions = by_week(stack.registry)
    assert [version.as_of for version in versions.values()] == [end_of(week) for week in range(weeks)]
    references = [version.reference for version in versions.values()]
    assert list(chain(stack).values()) == [None, *references[:-1]]
    assert len({version.tags["boxwright.fingerprint"] for version in versions.values()}) == weeks
    assert all(version.accepted for version in versions.values())
    assert stack.registry.resolve(f"models:/{MODEL}@champion").run_id == "today"


def test_a_backfill_is_a_chain_and_leaves_the_champion_alone(weekly: LiveStack, two_weeks: dict[int, str]) -> None:
    assert two_weeks == {0: "success", 1: "success"}
    assert_chain(weekly, 2)
    later = by_week(weekly.registry)[1]
    assert later.tags["boxwright.interval_start"] == (FIRST_WEEK + timedelta(weeks=1)).isoformat()
    assert later.tags["boxwright.run_url"].startswith(f"{weekly.stack.airflow_url}/dags/{DAG_ID}/runs/backfill__")


def test_each_new_model_is_announced(weekly: LiveStack, two_weeks: dict[int, str]) -> None:
    (asset,) = weekly.airflow.request("GET", "/assets", params={"name_pattern": "object_detection_model"})["assets"]
    found = weekly.airflow.request("GET", "/assets/events", params={"asset_id": asset["id"], "limit": 100})
    events = [event["extra"] for event in found["asset_events"]]
    announced = {extra["version"]: extra for extra in events if extra["model_name"] == MODEL}
    for version in by_week(weekly.registry).values():
        extra = announced[version.version]
        assert (extra["archive"], extra["run_id"]) == (version.archive_uri, version.run_id)
        assert extra["metrics"]["AP50"] == version.metrics["AP50"]


@pytest.mark.long
def test_four_weeks_done_again_and_backwards_add_nothing(weekly: LiveStack, two_weeks: dict[int, str]) -> None:
    done = dict.fromkeys(range(4), "success")
    assert backfill(weekly, 0, 3, max_active_runs=2) == done
    assert_chain(weekly, 4)
    before = by_week(weekly.registry)
    again = backfill(weekly, 0, 3, run_backwards=True, max_active_runs=2, reprocess_behavior="completed")
    assert again == done
    assert by_week(weekly.registry) == before


@pytest.mark.long
def test_backwards_a_week_that_comes_too_early_is_refused(weekly: LiveStack, two_weeks: dict[int, str]) -> None:
    assert backfill(weekly, 4, 5, run_backwards=True, max_active_runs=1) == {4: "success", 5: "failed"}
    run_id = run_of(5)
    tasks = {task.task_id: task for task in weekly.airflow.tasks(DAG_ID, run_id)}
    assert tasks["choose_seed"].state == "failed" and tasks["fine_tune"].state == "upstream_failed"
    error = weekly.airflow.error_line(DAG_ID, run_id, tasks["choose_seed"])
    assert f"came before {run_of(4)}" in error and "without 'run backwards'" in error

    assert backfill(weekly, 4, 5, max_active_runs=1, reprocess_behavior="failed") == {4: "success", 5: "success"}
    versions = by_week(weekly.registry)
    before = max(week for week in versions if week < 4)
    assert {week: chain(weekly)[week] for week in (4, 5)} == {4: versions[before].reference, 5: versions[4].reference}


def test_the_later_week_goes_on_from_the_earlier_ones_model(weekly: LiveStack, two_weeks: dict[int, str]) -> None:
    def states(week: int) -> dict[str, str]:
        return {task.task_id: task.state for task in weekly.airflow.tasks(DAG_ID, run_of(week))}

    earlier, later = states(0), states(1)
    assert (earlier["fetch_pretrained"], earlier["resolve_parent"]) == ("success", "skipped")
    assert (later["fetch_pretrained"], later["resolve_parent"]) == ("skipped", "success")


@pytest.mark.long
def test_two_clicks_run_side_by_side_and_train_one_after_the_other(weekly: LiveStack) -> None:
    names = ("click-0", "click-1")
    for week, name in enumerate(names):
        conf = CONF | {"training": dataset_of(week), "seed_mode": "pretrained", "model_name": "clicks", "force": True}
        weekly.airflow.trigger(DAG_ID, name, conf)
    weekly.wait_for(
        lambda: [weekly.airflow.runs(DAG_ID).get(name) for name in names] == ["running"] * 2, "both runs to be active"
    )
    assert [weekly.finish(name)[0] for name in names] == ["success"] * 2
    first, second = sorted(training_times(weekly, name) for name in names)
    assert first[1] <= second[0]


def training_times(stack: LiveStack, run_id: str) -> tuple[str, str]:
    """When a run's training began and ended."""
    found = stack.airflow.request("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/fine_tune")
    return found["start_date"], found["end_date"]


def test_announced_data_starts_a_run_on_it(weekly: LiveStack, bad: str) -> None:
    (task,) = [one for one in weekly.airflow.tasks(DAG_ID, bad) if one.task_id == "validate_annotations"]
    assert task.state == "failed"
    assert "announced/nothing-here/missing.json" in weekly.airflow.error_line(DAG_ID, bad, task)


@pytest.mark.long
def test_silence_rejects_a_model_and_its_record_says_so(weekly: LiveStack, two_weeks: dict[int, str]) -> None:
    asked = CONF | {
        "training": dataset_of(0),
        "approve": True,
        "approve_within_hours": 0.001,
        "seed_mode": "pretrained",
    }
    before = weekly.registry.aliases(MODEL)
    weekly.airflow.trigger(DAG_ID, "not-answered", asked | {"approve_within_hours": 0.001, "force": True})
    state, tasks = weekly.finish("not-answered")
    assert (state, tasks["approve"], tasks["register_model"]) == ("success", "success", "skipped")
    (version,) = [one for one in weekly.registry.versions(MODEL) if one.run_id == "not-answered"]
    assert not version.accepted
    assert version.tags["boxwright.rejected_by"] == "because nobody answered in time"
    assert weekly.registry.aliases(MODEL) == before
    path = f"/dags/{DAG_ID}/dagRuns/not-answered/taskInstances/approve/-1/hitlDetails"
    body = weekly.airflow.request("GET", path)["body"]
    assert "| metric | candidate | champion (version 1) |" in body and "| AP50 |" in body
