"""Curves over epochs as shapes that a template draws: lines, ticks and words, in the units of an SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 560, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 28
_TICKS = 4
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: for the legend.
        path: of an SVG polyline.
        dots: (x, y, what it says) of each point.
    """

    name: str
    path: str
    dots: list[tuple[float, float, str]]


@dataclass(frozen=True)
class Chart:
    """A chart of `WIDTH` by `HEIGHT`.

    Attributes:
        words: what the curves show, for those who cannot see them.
        left, right, top, bottom: of the frame in which the curves are.
    """

    title: str
    words: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


def epoch_chart(title: str, curves: Mapping[str, Points], epochs: int) -> Chart | None:
    """Curves over epochs from 1, with the vertical axis from 0.

    Args:
        title: of the chart.
        curves: (epoch, value) by name; values that are no finite number are left out.
        epochs: where the horizontal axis ends at least.

    Returns:
        None where there is nothing to draw.
    """
    finite = {name: [point for point in points if math.isfinite(point[1])] for name, points in curves.items()}
    drawn = {name: points for name, points in finite.items() if points}
    if not drawn:
        return None
    last = max(epochs, *(int(point[0]) for points in drawn.values() for point in points), 2)
    ticks = nice_ticks(max(point[1] for points in drawn.values() for point in points))

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = _LEFT + (point[0] - 1) / (last - 1) * (WIDTH - _LEFT - _RIGHT)
        y = HEIGHT - _BOTTOM - max(0.0, point[1]) / ticks[-1] * (HEIGHT - _TOP - _BOTTOM)
        return round(x, 1), round(y, 1)

    return Chart(
        title,
        f"{title}: {'; '.join(_words(name, points) for name, points in drawn.items())}",
        [_line(name, points, [place(point) for point in points]) for name, points in drawn.items()],
        [Tick(place((epoch, 0))[0], str(epoch)) for epoch in _epoch_ticks(last)],
        [Tick(place((1, value))[1], f"{value:g}") for value in ticks],
    )


def nice_ticks(largest: float) -> list[float]:
    """About four steps from 0 to at least `largest`, each 1, 2 or 5 times a power of ten."""
    raw = max(largest, 1e-9) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    return [round(step * i, 12) for i in range(math.ceil(largest / step - 1e-9) + 1)] if largest > 0 else [0.0, step]


def _epoch_ticks(last: int) -> list[int]:
    step = next(size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, last) if (last - 1) / size <= 8)
    return list(range(1, last + 1, step)) if step == 1 else [1, *range(step, last + 1, step)]


def _line(name: str, points: Points, places: Sequence[tuple[float, float]]) -> Line:
    told = [f"{name} {value:.4g} after epoch {int(epoch)}" for epoch, value in points]
    dots = [(x, y, text) for (x, y), text in zip(places, told, strict=True)]
    return Line(name, " ".join(f"{x:g},{y:g}" for x, y in places), dots)


def _words(name: str, points: Points) -> str:
    (first, begun), (last, now) = points[0], points[-1]
    since = f", {begun:.4g} after epoch {int(first)}" if len(points) > 1 else ""
    return f"{name} {now:.4g} after epoch {int(last)}{since}"
