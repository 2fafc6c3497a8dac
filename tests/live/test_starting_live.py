"""Runs that nobody starts by hand, in a real Airflow: backfills in any order, new data, a word awaited, reuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from boxwright.airflow_api.client import AirflowClient
from boxwright.airflow_api.trigger import DAG_ID
from boxwright.dataset.sample.generate import generate_sample
from boxwright.errors import StorageError
from boxwright.registry.mlflow_registry import Release, Version
from boxwright.stack.connection import PASSWORD, URL, USER
from boxwright.stack.demo import upload_folder
from boxwright.stack.environment import ADMIN

if TYPE_CHECKING:
    from conftest import LiveStack

MODEL = "weekly"
SETS = "s3://boxwright/weekly"
DEADLINE = 1800
FIRST = datetime(2026, 1, 5, 3, tzinfo=UTC)
QUICK = {"model_id": "tiny", "epochs": 1, "image_size": 64, "gate_min_ap50": 0, "augmentation": "none"}
CONF = QUICK | {
    "training": f"{SETS}/{{data_interval_end:%Y-%m-%d}}/training",
    "output": "s3://boxwright/weekly-runs",
    "model_name": MODEL,
}


def end_of(week: int) -> datetime:
    return FIRST + timedelta(weeks=week + 1)


@pytest.fixture(scope="module")
def live(stack: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> LiveStack:
    """The DAG is on, six weeks have a dataset each, and a champion of today is there."""
    patch = pytest.MonkeyPatch()
    for name, value in stack.env.items():
        patch.setenv(name, value)
    for week in range(6):
        folder = tmp_path_factory.mktemp("weekly") / "sample"
        generate_sample(folder, images=12, seed=week)
        upload_folder(folder / "training", f"{SETS}/{end_of(week):%Y-%m-%d}/training")
    _register_todays_champion(stack, tmp_path_factory.mktemp("champion") / "picture.png")
    patch.undo()
    stack.switch_on()
    return stack


def _register_todays_champion(stack: LiveStack, picture: Path) -> None:
    picture.write_bytes(b"a picture")
    facts: dict[str, Any] = {"fingerprint": "f", "parent": None, "classes": ["bolt"], "config_json": "{}"}
    release = Release(
        model_name=MODEL,
        run_id="today",
        archive_uri="s3://boxwright/nowhere/model.tar.gz",
        as_of=datetime.now(UTC),
        metrics={"AP": 0.0},
        model_id="tiny",
        code_version="0",
        pictures=[picture],
        **facts,
    )
    stack.registry.register(release)


def by_week(stack: LiveStack) -> dict[int, Version]:
    """The model's version of each week that has one; two of a week are an error."""
    found = [version for version in stack.registry.versions(MODEL) if version.run_id.startswith("backfill__")]
    weeks = {(version.as_of - FIRST).days // 7 - 1: version for version in found}
    assert len(weeks) == len(found)
    return dict(sorted(weeks.items()))


def chain(stack: LiveStack) -> dict[int, str | None]:
    return {week: version.parent for week, version in by_week(stack).items()}


def backfill(stack: LiveStack, first: int, last: int, **how: Any) -> dict[int, str]:
    """Backfills weeks and waits until their runs have ended; the state of each by week."""
    body = {
        "dag_id": DAG_ID,
        "from_date": (FIRST + timedelta(weeks=first)).isoformat(),
        "to_date": (FIRST + timedelta(weeks=last)).isoformat(),
        "dag_run_conf": CONF,
    }
    # It answers when all runs are made, which takes long on a busy machine; and SQLite has one writer.
    patient = AirflowClient(stack.stack.airflow_url, ADMIN, stack.stack.password, timeout=300)

    def create() -> Any:
        try:
            return patient.request("POST", "/backfills", json=body | how)
        except StorageError as error:
            assert "Database is locked" in str(error)

    made = stack.wait_for(create)
    stack.wait_for(lambda: stack.airflow.request("GET", f"/backfills/{made['id']}")["completed_at"])
    states = stack.airflow.runs(DAG_ID)
    return {week: states[f"backfill__{end_of(week).isoformat()}"] for week in range(first, last + 1)}


@pytest.fixture(scope="module")
def two_weeks(live: LiveStack) -> dict[int, str]:
    return backfill(live, 0, 1, max_active_runs=2)


def assert_chain(stack: LiveStack, weeks: int) -> None:
    """Each week's parent is the week before, and today's champion stays and is nobody's parent."""
    versions = by_week(stack)
    assert [version.as_of for version in versions.values()] == [end_of(week) for week in range(weeks)]
    references = [version.reference for version in versions.values()]
    assert list(chain(stack).values()) == [None, *references[:-1]]
    assert len({version.tags["boxwright.fingerprint"] for version in versions.values()}) == weeks
    assert all(version.accepted for version in versions.values())
    assert stack.registry.resolve(f"models:/{MODEL}@champion").run_id == "today"


def test_a_backfill_is_a_chain_and_leaves_the_champion_alone(live: LiveStack, two_weeks: dict[int, str]) -> None:
    assert two_weeks == {0: "success", 1: "success"}
    assert_chain(live, 2)
    later = by_week(live)[1]
    assert later.tags["boxwright.interval_start"] == (FIRST + timedelta(weeks=1)).isoformat()
    assert later.tags["boxwright.run_url"].startswith(f"{live.stack.airflow_url}/dags/{DAG_ID}/runs/backfill__")


def test_each_new_model_is_announced(live: LiveStack, two_weeks: dict[int, str]) -> None:
    (asset,) = live.airflow.request("GET", "/assets", params={"name_pattern": "object_detection_model"})["assets"]
    found = live.airflow.request("GET", "/assets/events", params={"asset_id": asset["id"], "limit": 100})
    announced = {event["extra"]["version"]: event["extra"] for event in found["asset_events"]}
    for version in by_week(live).values():
        extra = announced[version.version]
        assert (extra["model_name"], extra["archive"], extra["run_id"]) == (MODEL, version.archive_uri, version.run_id)
        assert extra["metrics"]["AP50"] == version.metrics["AP50"]


@pytest.mark.long
def test_four_weeks_done_again_and_backwards_add_nothing(live: LiveStack, two_weeks: dict[int, str]) -> None:
    done = dict.fromkeys(range(4), "success")
    assert backfill(live, 0, 3, max_active_runs=2) == done
    assert_chain(live, 4)
    before = by_week(live)
    again = backfill(live, 0, 3, run_backwards=True, max_active_runs=2, reprocess_behavior="completed")
    assert again == done
    assert by_week(live) == before


@pytest.mark.long
def test_backwards_a_week_that_comes_too_early_is_refused(live: LiveStack, two_weeks: dict[int, str]) -> None:
    assert backfill(live, 4, 5, run_backwards=True, max_active_runs=1) == {4: "success", 5: "failed"}
    run_id = f"backfill__{end_of(5).isoformat()}"
    tasks = {task.task_id: task for task in live.airflow.tasks(DAG_ID, run_id)}
    assert tasks["choose_seed"].state == "failed" and tasks["fine_tune"].state == "upstream_failed"
    error = live.airflow.error_line(DAG_ID, run_id, tasks["choose_seed"])
    assert f"came before backfill__{end_of(4).isoformat()}" in error and "without 'run backwards'" in error

    assert backfill(live, 4, 5, max_active_runs=1, reprocess_behavior="failed") == {4: "success", 5: "success"}
    versions = by_week(live)
    before = max(week for week in versions if week < 4)
    assert {week: chain(live)[week] for week in (4, 5)} == {4: versions[before].reference, 5: versions[4].reference}


def test_announced_data_starts_a_run_on_it(live: LiveStack, two_weeks: dict[int, str]) -> None:
    (asset,) = live.airflow.request("GET", "/assets", params={"name_pattern": "object_detection_dataset"})["assets"]
    live.airflow.request("POST", "/variables", json={"key": "boxwright_output_uri", "value": CONF["output"]})
    extra = {"training": "s3://boxwright/announced/nothing-here"}
    live.airflow.request("POST", "/assets/events", json={"asset_id": asset["id"], "extra": extra})
    started = live.wait_for(
        lambda: [name for name in live.airflow.runs(DAG_ID) if name.startswith("asset_triggered__")]
    )
    state, tasks = live.finish(started[0])
    assert (state, tasks["validate_annotations"]) == ("failed", "failed")
    (task,) = [one for one in live.airflow.tasks(DAG_ID, started[0]) if one.task_id == "validate_annotations"]
    error = live.airflow.error_line(DAG_ID, started[0], task)
    assert "announced/nothing-here" in error


@pytest.mark.long
def test_silence_rejects_a_model_and_its_record_says_so(live: LiveStack, two_weeks: dict[int, str]) -> None:
    training = f"{SETS}/{end_of(0):%Y-%m-%d}/training"
    asked = CONF | {"training": training, "approve": True, "approve_within_hours": 0.001, "seed_mode": "pretrained"}
    before = live.registry.aliases(MODEL)
    live.airflow.trigger(DAG_ID, "not-answered", asked | {"force": True})
    state, tasks = live.finish("not-answered")
    assert (state, tasks["approve"], tasks["register_model"]) == ("success", "success", "skipped")
    (version,) = [one for one in live.registry.versions(MODEL) if one.run_id == "not-answered"]
    assert not version.accepted
    assert version.tags["boxwright.rejected_by"] == "because nobody answered in time"
    assert live.registry.aliases(MODEL) == before
    path = f"/dags/{DAG_ID}/dagRuns/not-answered/taskInstances/approve/-1/hitlDetails"
    body = live.airflow.request("GET", path)["body"]
    assert "| metric | candidate | champion (version 1) |" in body and "| AP50 |" in body


def test_the_same_run_again_ends_with_the_version_there_is(live: LiveStack, two_weeks: dict[int, str]) -> None:
    """Through `boxwright trigger`: week 0 once more, from pretrained weights as then."""
    settings = CONF | {"training": f"{SETS}/{end_of(0):%Y-%m-%d}/training", "seed_mode": "pretrained"}
    command = [sys.executable, "-m", "boxwright", "trigger", "--run-id", "once-more", "--wait", "--json"]
    command += [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    log_in = {URL: live.stack.airflow_url, USER: ADMIN, PASSWORD: live.stack.password}
    done = subprocess.run(command, env=os.environ | log_in, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "reused"
    assert (result["model_name"], result["version"]) == (MODEL, by_week(live)[0].version)
    assert "reuse_version success" in done.stderr
    assert "once-more" not in [version.run_id for version in live.registry.versions(MODEL)]
