"""Charts as numbers: where each mark stands in a picture of a given size, for templates to draw as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

Points = Sequence[tuple[float, float]]

_COLOURS = 4
_DATES = ("%Y-%m-%d", "%m-%d %H:%M", "%H:%M:%S", "%H:%M:%S.%f")
_TICKS = 4
_MOST_POINTS = 200
_WIDTH, _BAR, _GAP, _LABELS, _VALUES = 860, 14, 12, 190, 60


@dataclass(frozen=True)
class Frame:
    """A picture of `width` by `height` pixels, and the edges in it between which values are drawn."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int

    def x(self, share: float) -> float:
        """The place of a share of the horizontal axis."""
        return round(self.left + share * (self.right - self.left), 1)

    def y(self, share: float) -> float:
        """The place of a share of the vertical axis, which goes up."""
        return round(self.bottom - max(0.0, share) * (self.bottom - self.top), 1)


_OVER_TIME = Frame(width=860, height=260, left=48, right=844, top=12, bottom=230)
_OVER_EPOCHS = Frame(width=560, height=240, left=48, right=548, top=12, bottom=212)


@dataclass(frozen=True)
class Point:
    """One measured version: when, what, how it is called, and whether it stands out."""

    when: datetime
    value: float
    label: str
    marked: bool = False


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A point's place in pixels, and what it says."""

    x: float
    y: float
    label: str
    marked: bool = False


@dataclass(frozen=True)
class Line:
    """One series: its name, `number` for a colour, and its marks from left to right."""

    name: str
    number: int
    marks: tuple[Mark, ...]

    @property
    def path(self) -> str:
        """The points of an SVG polyline."""
        return " ".join(f"{mark.x:g},{mark.y:g}" for mark in self.marks)


@dataclass(frozen=True)
class LineChart:
    """Lines in a frame with ticks; `words` says what they show, for those who cannot see them."""

    title: str
    words: str
    frame: Frame
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def time_chart(title: str, series: Mapping[str, Sequence[Point]]) -> LineChart | None:
    """Series by name over time, with the vertical axis from 0; None where there is no point."""
    points = [point for of_series in series.values() for point in of_series]
    if not points:
        return None
    first, last = min(point.when for point in points), max(point.when for point in points)
    if first == last:
        first, last = first - timedelta(days=1), last + timedelta(days=1)
    top, frame = _round_up(max(point.value for point in points)), _OVER_TIME

    def mark(point: Point) -> Mark:
        place = frame.x((point.when - first) / (last - first)), frame.y(point.value / top)
        return Mark(*place, point.label, point.marked)

    steps = [step / _TICKS for step in range(_TICKS + 1)]
    return LineChart(
        title,
        f"{title}; the table below has the numbers",
        frame,
        tuple(
            _line(name, number, [mark(point) for point in sorted(of_series, key=lambda point: point.when)])
            for number, (name, of_series) in enumerate(series.items())
        ),
        tuple(Tick(frame.x(step), text) for step, text in zip(steps, _dates(first, last, steps), strict=True)),
        tuple(Tick(frame.y(step), f"{top * step:.2g}") for step in steps),
    )


def epoch_chart(title: str, curves: Mapping[str, Points], epochs: int) -> LineChart | None:
    """Curves over epochs from 1, with the vertical axis from 0.

    Args:
        title: of the chart.
        curves: (epoch, value) by name; values that are not finite are left out.
        epochs: where the horizontal axis ends at least.

    Returns:
        None where there is nothing to draw.
    """
    if not (drawn := _finite(curves)):
        return None
    last = max(epochs, int(_last(drawn)), 2)
    return _chart(title, drawn, (1, last), _epoch_ticks(last), lambda epoch: f"after epoch {int(epoch)}")


def minute_chart(title: str, curves: Mapping[str, Points]) -> LineChart | None:
    """Curves over minutes from 0, with the vertical axis from 0; of many points as many as the picture has room for.

    Args:
        title: of the chart.
        curves: (minute, value) by name; values that are not finite are left out.

    Returns:
        None where there is nothing to draw.
    """
    drawn = {name: _thinned(points) for name, points in _finite(curves).items()}
    if not drawn:
        return None
    ticks = nice_ticks(max(_last(drawn), 1.0))
    return _chart(title, drawn, (0.0, ticks[-1]), ticks, lambda minute: f"after {minute:.3g} min")


def _finite(curves: Mapping[str, Points]) -> dict[str, Points]:
    finite = {name: [point for point in points if math.isfinite(point[1])] for name, points in curves.items()}
    return {name: points for name, points in finite.items() if points}


def _thinned(points: Points) -> Points:
    """Points at regular intervals, and the last one."""
    return [*points[: -1 : math.ceil(len(points) / _MOST_POINTS)], points[-1]]


def _last(drawn: Mapping[str, Points]) -> float:
    return max(point[0] for points in drawn.values() for point in points)


def _chart(
    title: str,
    drawn: Mapping[str, Points],
    ends: tuple[float, float],
    x_ticks: Sequence[float],
    at: Callable[[float], str],
) -> LineChart:
    """Curves in the frame of a training; `at` says in words where on the horizontal axis something is."""
    first, last = ends
    ticks, frame = nice_ticks(max(point[1] for points in drawn.values() for point in points)), _OVER_EPOCHS

    def x(place: float) -> float:
        return frame.x((place - first) / (last - first))

    def marks(name: str, points: Points) -> list[Mark]:
        return [
            Mark(x(place), frame.y(value / ticks[-1]), f"{name} {value:.4g} {at(place)}") for place, value in points
        ]

    return LineChart(
        title,
        f"{title}: {'; '.join(_words(name, points, at) for name, points in drawn.items())}",
        frame,
        tuple(_line(name, number, marks(name, points)) for number, (name, points) in enumerate(drawn.items())),
        tuple(Tick(x(place), f"{place:g}") for place in x_ticks),
        tuple(Tick(frame.y(value / ticks[-1]), f"{value:g}") for value in ticks),
    )


def nice_ticks(largest: float) -> list[float]:
    """About four steps from 0 to at least `largest`, each 1, 2 or 5 times a power of ten."""
    raw = max(largest, 1e-9) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    return [round(step * i, 12) for i in range(math.ceil(largest / step - 1e-9) + 1)] if largest > 0 else [0.0, step]


def _line(name: str, number: int, marks: Sequence[Mark]) -> Line:
    return Line(name, number % _COLOURS + 1, tuple(marks))


def _epoch_ticks(last: int) -> list[int]:
    step = next(size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, last) if (last - 1) / size <= 8)
    return list(range(1, last + 1, step)) if step == 1 else [1, *range(step, last + 1, step)]


def _words(name: str, points: Points, at: Callable[[float], str]) -> str:
    (first, begun), (last, now) = points[0], points[-1]
    since = f", {begun:.4g} {at(first)}" if len(points) > 1 else ""
    return f"{name} {now:.4g} {at(last)}{since}"


def _round_up(value: float) -> float:
    """The least of 0.1, 0.2, ... 1.0 that is not below, or a whole number above."""
    return max(0.1, math.ceil(value * 10 - 1e-9) / 10) if value <= 1 else float(math.ceil(value))


def _dates(first: datetime, last: datetime, steps: Sequence[float]) -> list[str]:
    """The moments at these shares of a time, as exactly as it takes for no two to read alike."""
    moments = [(first + (last - first) * step).astimezone(UTC) for step in steps]
    for form in _DATES:
        texts = [moment.strftime(form) for moment in moments]
        if len(set(texts)) == len(texts):
            break
    return texts


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
    width: int = _WIDTH
    left: int = _LABELS
    bar: int = _BAR


def bar_chart(values: Mapping[str, Sequence[float | None]]) -> BarChart:
    """Draws one group for each name, with a bar for each value of 0 to 1."""
    groups, y = [], 4.0
    for name, of_name in values.items():
        bars = tuple(_bar(row, y + row * (_BAR + 2), value) for row, value in enumerate(of_name))
        groups.append(Group(name, y, bars))
        y += len(of_name) * (_BAR + 2) + _GAP
    return BarChart(tuple(groups), int(y))


def _bar(row: int, y: float, value: float | None) -> Bar:
    number = row % _COLOURS + 1
    if value is None:
        return Bar(number, y, None, "not measured")
    return Bar(number, y, round(max(0.0, min(1.0, value)) * (_WIDTH - _LABELS - _VALUES), 1), f"{value:.3f}")
