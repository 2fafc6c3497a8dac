"""The schedule of the training DAG: a clock that a Variable sets, and announcements of new datasets."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, AssetOrTimeSchedule, CronDataIntervalTimetable, Variable

SCHEDULE_VARIABLE = "boxwright_schedule"
DEFAULT_SCHEDULE = "0 3 * * 1"
# An event of it starts a run; its extra may say where the data is.
DATASET = Asset("object_detection_dataset")
# A run that registered an accepted model announces it here, with version and metrics as extra.
MODEL = Asset("object_detection_model")
EVENT_PARAMS = ("training", "validation", "test", "annotations_file")


def training_schedule() -> AssetOrTimeSchedule:
    """Weekly, or as the Variable `boxwright_schedule` says in cron's terms; and by events of `DATASET`.

    With data intervals, unlike a cron string: a backfill knows which interval each of its runs stands for.

    Raises:
        ValueError: the Variable holds no cron expression; Airflow shows it as the DAG's import error.
    """
    cron = str(Variable.get(SCHEDULE_VARIABLE, default=None) or DEFAULT_SCHEDULE)
    clock = CronDataIntervalTimetable(cron, timezone="UTC")
    _check(cron)
    return AssetOrTimeSchedule(timetable=clock, assets=[DATASET])


def _check(cron: str) -> None:
    from croniter import croniter

    if cron.startswith("@"):
        known = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
        valid = cron in known
    else:
        valid = croniter.is_valid(cron)
    if not valid:
        raise ValueError(
            f"the Airflow Variable {SCHEDULE_VARIABLE} is {cron!r}; expected a cron expression such as "
            f"{DEFAULT_SCHEDULE!r} (Mondays at 3:00 UTC), or @daily, @weekly, @monthly"
        )


def params_of_event(dag_run: Any) -> dict[str, Any]:
    """The URIs of the newest event that started the run; empty if no event did, or if it names none.

    Only what describes a dataset is taken: who may announce data need not be one who may set parameters.
    """
    events = [
        event for event in getattr(dag_run, "consumed_asset_events", None) or () if event.asset.name == DATASET.name
    ]
    if not events:
        return {}
    extra = max(events, key=lambda event: event.timestamp).extra or {}
    return {name: extra[name] for name in EVENT_PARAMS if extra.get(name)}
