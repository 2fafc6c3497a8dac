from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction

from boxwright_airflow.schedule import DATASET, training_schedule


def first_interval() -> tuple[str, str]:
    """Of the schedule's first run, through serialization, as the scheduler gets it."""
    dag = DAG("d", schedule=training_schedule(), start_date=datetime(2026, 1, 1, tzinfo=UTC))
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    window = TimeRestriction(earliest=dag.start_date, latest=None, catchup=True)
    interval = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=window).data_interval
    return interval.start.isoformat(), interval.end.isoformat()


def test_it_is_weekly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_VAR_BOXWRIGHT_SCHEDULE", raising=False)
    assert first_interval() == ("2026-01-05T03:00:00+00:00", "2026-01-12T03:00:00+00:00")
    assert list(training_schedule().asset_condition.objects) == [DATASET]


def test_a_variable_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_SCHEDULE", "0 4 1 * *")
    assert first_interval() == ("2026-01-01T04:00:00+00:00", "2026-02-01T04:00:00+00:00")
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_SCHEDULE", "@daily")
    assert first_interval() == ("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00")


@pytest.mark.parametrize("wrong", ["weekly", "@often", "61 * * * *"])
def test_a_wrong_one_says_what_is_expected(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_SCHEDULE", wrong)
    with pytest.raises(ValueError, match=f"Variable boxwright_schedule is '.*{wrong[1:4]}.*'; expected a cron"):
        training_schedule()
