"""Charts as numbers: where each mark stands in a picture of a given size, for templates to draw as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

WIDTH, HEIGHT = 860, 260
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 12, 30
_TICKS = 4
_BAR, _GAP, _LABELS = 14, 12, 190


@dataclass(frozen=True)
class Point:
    """One measured version: when, what, how it is called, and whether it stands out."""

    when: datetime
    value: float
    label: str
    marked: bool = False


@dataclass(frozen=True)
class Mark:
    """A point's place in pixels."""

    x: float
    y: float
    label: str
    marked: bool


@dataclass(frozen=True)
class Line:
    """One series: its name, `number` for a colour, and its marks from left to right."""

    name: str
    number: int
    marks: tuple[Mark, ...]

    @property
    def path(self) -> str:
        """The points of an SVG polyline."""
        return " ".join(f"{mark.x},{mark.y}" for mark in self.marks)


@dataclass(frozen=True)
class TimeChart:
    """Values over time, with ticks as (pixel, text)."""

    lines: tuple[Line, ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def time_chart(series: dict[str, Sequence[Point]]) -> TimeChart | None:
    """Draws series by name; None without a point."""
    points = [point for of_series in series.values() for point in of_series]
    if not points:
        return None
    first, last = min(point.when for point in points), max(point.when for point in points)
    if first == last:
        first, last = first - timedelta(days=1), last + timedelta(days=1)
    top = _round_up(max(point.value for point in points))

    def x(when: datetime) -> float:
        return round(LEFT + (when - first) / (last - first) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - max(value, 0) / top * (HEIGHT - TOP - BOTTOM), 1)

    lines = [
        Line(
            name,
            number % 4 + 1,
            tuple(Mark(x(point.when), y(point.value), point.label, point.marked) for point in _in_time(of_series)),
        )
        for number, (name, of_series) in enumerate(series.items())
    ]
    steps = [step / _TICKS for step in range(_TICKS + 1)]
    moments = [first + (last - first) * step for step in steps]
    return TimeChart(
        tuple(lines),
        tuple((x(moment), _day(moment, last - first)) for moment in moments),
        tuple((y(top * step), f"{top * step:.2g}") for step in steps),
    )


def _in_time(points: Sequence[Point]) -> list[Point]:
    return sorted(points, key=lambda point: point.when)


def _round_up(value: float) -> float:
    """The smallest of 0.1, 0.2, ... 1.0 that is not below, or a whole number above."""
    return max(0.1, math.ceil(value * 10 - 1e-9) / 10) if value <= 1 else float(math.ceil(value))


def _day(moment: datetime, span: timedelta) -> str:
    return moment.astimezone(UTC).strftime("%H:%M" if span < timedelta(hours=12) else "%Y-%m-%d")


@dataclass(frozen=True)
class Bar:
    """One value of a group; `width` is None where nothing was measured."""

    number: int
    y: float
    width: float | None
    text: str


@dataclass(frozen=True)
class Group:
    """The bars of one class."""

    name: str
    y: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class BarChart:
    """Values from 0 to 1, grouped."""

    groups: tuple[Group, ...]
    height: int
    width: int = WIDTH
    left: int = _LABELS
    bar: int = _BAR


def bar_chart(values: dict[str, Sequence[float | None]]) -> BarChart:
    """Draws one group for each name, with a bar for each value of 0 to 1."""
    groups, y = [], 4.0
    room = WIDTH - _LABELS - 60
    for name, of_name in values.items():
        bars = tuple(
            Bar(
                row % 4 + 1,
                y + row * (_BAR + 2),
                None if value is None else round(max(0.0, min(1.0, value)) * room, 1),
                "not measured" if value is None else f"{value:.3f}",
            )
            for row, value in enumerate(of_name)
        )
        groups.append(Group(name, y, bars))
        y += len(of_name) * (_BAR + 2) + _GAP
    return BarChart(tuple(groups), int(y))
