"""Backfilled runs over weeks: which model and data they have, how they are started, and what came of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxwright.airflow_api.client import AirflowClient
from boxwright.airflow_api.trigger import DAG_ID
from boxwright.errors import StorageError
from boxwright.registry.port import Registry, Release, Version
from boxwright.stack.environment import ADMIN
from live.live_runs import RUN_SECONDS

if TYPE_CHECKING:
    from running_stack import RunningStack

    from live.conftest import LiveStack

MODEL = "weekly"
SETS = "s3://boxwright/weekly"
FIRST_WEEK = datetime(2026, 1, 5, 3, tzinfo=UTC)
QUICK = {
    "model_id": "tiny",
    "epochs": 2,
    "image_size": 64,
    "gate_min_ap50": 0,
    "gate_classes_told_apart": False,
    "export_formats": ["saved_model"],
    "augmentation": "none",
}
CONF = QUICK | {
    "training": f"{SETS}/{{data_interval_end:%Y-%m-%d}}/training",
    "output": "s3://boxwright/weekly-runs",
    "model_name": MODEL,
}


def end_of(week: int) -> datetime:
    return FIRST_WEEK + timedelta(weeks=week + 1)


def dataset_of(week: int) -> str:
    return f"{SETS}/{end_of(week):%Y-%m-%d}/training"


def run_of(week: int) -> str:
    return f"backfill__{end_of(week).isoformat()}"


def register_todays_champion(stack: LiveStack, picture: Path) -> None:
    picture.write_bytes(b"a picture")
    facts: dict[str, Any] = {"fingerprint": "f", "parent": None, "classes": ["bolt"], "config_json": "{}"}
    release = Release(
        model_name=MODEL,
        run_id="today",
        archive_uri="s3://boxwright/nowhere/elsewhere.zip",  # not of a run: its page offers no report
        as_of=datetime.now(UTC),
        metrics={"AP": 0.0},
        model_id="tiny",
        code_version="0",
        pictures=[picture],
        **facts,
    )
    stack.registry.register(release)


def by_week(registry: Registry) -> dict[int, Version]:
    """The model's version of each week that has one; two of a week are an error."""
    found = [version for version in registry.versions(MODEL) if version.run_id.startswith("backfill__")]
    weeks = {(version.as_of - FIRST_WEEK).days // 7 - 1: version for version in found}
    assert len(weeks) == len(found)
    return dict(sorted(weeks.items()))


def backfill(stack: RunningStack, first: int, last: int, **how: Any) -> dict[int, str]:
    """Backfills weeks and waits until their runs have ended; the state of each by week."""
    body = {
        "dag_id": DAG_ID,
        "from_date": (FIRST_WEEK + timedelta(weeks=first)).isoformat(),
        "to_date": (FIRST_WEEK + timedelta(weeks=last)).isoformat(),
        "dag_run_conf": CONF,
    }
    # It answers when all runs are made, which takes long on a busy machine; and SQLite has one writer.
    patient = AirflowClient(stack.stack.airflow_url, ADMIN, stack.stack.password, timeout=300)

    def create() -> Any:
        try:
            return patient.request("POST", "/backfills", json=body | how)
        except StorageError as error:
            assert "Database is locked" in str(error)

    made = stack.wait_for(create, "a backfill to be made")
    return ended(stack, made, first, last)


def ended(stack: RunningStack, made: dict[str, Any], first: int, last: int) -> dict[int, str]:
    """Waits for the end of a backfill's runs; the state of each by week."""
    stack.wait_for(
        lambda: stack.airflow.request("GET", f"/backfills/{made['id']}")["completed_at"],
        f"the end of the backfill of weeks {first} to {last}",
        (last - first + 1) * RUN_SECONDS,
    )
    states = stack.airflow.runs(DAG_ID)
    return {week: states[run_of(week)] for week in range(first, last + 1)}
