"""The charts' numbers: each mark stands where its value is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from boxwright_airflow.charts import Point, bar_chart, epoch_chart, minute_chart, nice_ticks, time_chart

DAY = datetime(2026, 1, 5, tzinfo=UTC)


def test_values_over_time_stand_between_the_edges_in_their_order() -> None:
    late, early = Point(DAY + timedelta(days=10), 0.4, "v2", True), Point(DAY, 0.1, "v1")
    chart = time_chart("AP", {"a": [late, early], "b": [Point(DAY + timedelta(days=5), 0.2, "v3")]})
    assert chart is not None and [line.number for line in chart.lines] == [1, 2]
    first, last = chart.lines[0].marks
    assert (first.label, last.label, last.marked) == ("v1", "v2", True)
    assert (first.x, last.x) == (chart.frame.left, chart.frame.right)
    assert last.y == chart.frame.top and first.y == pytest.approx(chart.frame.bottom - 218 / 4, abs=0.1)
    assert chart.lines[1].marks[0].x == (chart.frame.left + chart.frame.right) / 2
    assert [tick.text for tick in chart.x_ticks][::4] == ["2026-01-05", "2026-01-15"]
    assert chart.y_ticks[0].text == "0" and chart.y_ticks[-1].text == "0.4"
    assert chart.lines[0].path == f"48,{first.y:g} 844,12" and "table" in chart.words
    assert time_chart("AP", {"a": []}) is None and time_chart("AP", {"a": [early]}) is not None


@pytest.mark.parametrize(
    ("span", "texts"),
    [
        (timedelta(days=2), ["01-05 00:00", "01-05 12:00", "01-06 00:00", "01-06 12:00", "01-07 00:00"]),
        (timedelta(minutes=2), ["00:00:00", "00:00:30", "00:01:00", "00:01:30", "00:02:00"]),
    ],
)
def test_no_two_dates_of_an_axis_read_alike(span: timedelta, texts: list[str]) -> None:
    chart = time_chart("AP", {"a": [Point(DAY, 0.1, "v1"), Point(DAY + span, 0.2, "v2")]})
    assert chart is not None and [tick.text for tick in chart.x_ticks] == texts


def test_curves_over_epochs_leave_out_what_is_no_number() -> None:
    chart = epoch_chart("Loss", {"loss": [(1, 2.0), (2, float("nan")), (3, 1.0)], "none": [(1, float("inf"))]}, 5)
    assert chart is not None and [line.name for line in chart.lines] == ["loss"]
    assert [(mark.x, mark.y) for mark in chart.lines[0].marks] == [(48, 12), (298, 112)]
    assert chart.lines[0].marks[1].label == "loss 1 after epoch 3"
    assert chart.words == "Loss: loss 1 after epoch 3, 2 after epoch 1"
    assert [tick.text for tick in chart.x_ticks] == ["1", "2", "3", "4", "5"]
    assert epoch_chart("Loss", {"loss": []}, 5) is None


def test_curves_over_minutes_keep_their_ends_however_many_points_they_have() -> None:
    halves = [(step / 2, 100.0 + step % 2) for step in range(1999)]
    chart = minute_chart("Memory", {"processor": halves, "GPU": []})
    assert chart is not None and [line.name for line in chart.lines] == ["processor"]
    marks = chart.lines[0].marks
    assert 150 < len(marks) <= 201
    assert (marks[0].label, marks[-1].label) == ("processor 100 after 0 min", "processor 100 after 999 min")
    assert [tick.text for tick in chart.x_ticks] == ["0", "500", "1000"]
    young = minute_chart("Memory", {"processor": [(0.5, 2.0)]})
    assert young is not None and [mark.x for mark in young.lines[0].marks] == [298]
    assert minute_chart("Memory", {"processor": [], "GPU": [(1, float("nan"))]}) is None


@pytest.mark.parametrize(
    ("largest", "ticks"), [(1, [0, 0.5, 1]), (0.37, [0, 0.1, 0.2, 0.3, 0.4]), (70, [0, 20, 40, 60, 80])]
)
def test_ticks_are_round(largest: float, ticks: list[float]) -> None:
    assert nice_ticks(largest) == ticks
    assert len(nice_ticks(0)) == 2


def test_bars_of_what_was_not_measured_have_no_width() -> None:
    chart = bar_chart({"cat": [1.0, None], "dog": [0.5, 0.0]})
    cat, dog = chart.groups
    assert [bar.width for bar in (*cat.bars, *dog.bars)] == [610, None, 305, 0]
    assert cat.bars[1].text == "not measured" and dog.bars[0].text == "0.500"
    assert cat.y < dog.y < chart.height
