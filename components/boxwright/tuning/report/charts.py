"""The charts of a study's report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from boxwright.config import Value
from boxwright.reporting import Chart, Theme, make_chart, new_axes, new_figure, short_name
from boxwright.tuning import Finalist, Outcome, Trial, TrialState

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 3
# Of a range whose ends lie so far apart, logarithms are drawn.
_LOG_RATIO = 20.0


def draw_charts(outcome: Outcome, importance: Mapping[str, float], basis: str, is_loss: bool) -> dict[str, Chart]:
    """The charts by name; those without anything to show are left out."""
    charts: dict[str, Chart] = {}
    valued = [one for one in outcome.trials if one.value is not None]
    done = [one for one in valued if one.state is TrialState.COMPLETE]
    measure = outcome.objective
    if done:
        charts["history"] = make_chart(
            "Best so far", _history_caption(valued, measure, is_loss), _draw_history, valued, measure, is_loss
        )
    if any(len(one.curve) > 1 for one in outcome.trials):
        caption = (
            f"{measure} at the epochs where it was measured; the best trial is drawn thick, pruned ones end early."
        )
        charts["curves"] = make_chart("Curves", caption, _draw_curves, outcome.trials, _best(done, is_loss), measure)
    if importance:
        first = max(importance, key=lambda name: importance[name])
        caption = (
            f"Share of each setting in what made a trial one of the best third (PED-ANOVA), at {basis}; most by "
            f"{first}. The fewer trials, the less sure."
        )
        charts["importance"] = make_chart("Importance", caption, _draw_importance, importance)
    names = varied(valued)
    if len(valued) > 1 and names:
        caption = f"A line a trial that was measured, darker where {measure} is better."
        charts["parallel"] = make_chart(
            "Parallel coordinates", caption, _draw_parallel, valued, names, measure, is_loss
        )
        caption = (
            f"{measure} of each trial by each setting; trials without the setting are left out. Pruned ones are pale."
        )
        charts["slices"] = make_chart("Slices", caption, _draw_slices, valued, names, measure)
    proof = outcome.proof
    if proof and any(one.low is not None for one in proof.finalists):
        caption = "Difference of AP to the defaults, with its interval; no gain is shown where that holds zero."
        charts["proof"] = make_chart("Gain on the test images", caption, _draw_proof, proof.finalists)
    return charts


def varied(trials: Sequence[Trial]) -> list[str]:
    """The settings that have more than one value in these trials."""
    names = dict.fromkeys(name for one in trials for name in one.settings)
    return [name for name in names if len({one.settings[name] for one in trials if name in one.settings}) > 1]


def _best(trials: Sequence[Trial], is_loss: bool) -> Trial | None:
    sign = 1 if is_loss else -1
    return min(trials, key=lambda one: (sign * (one.value or 0.0), one.number), default=None)


def _history_caption(trials: Sequence[Trial], measure: str, is_loss: bool) -> str:
    best = _best([one for one in trials if one.state is TrialState.COMPLETE], is_loss)
    return f"{measure} of each trial, and the best that came to its end: trial {best.number}." if best else ""


def _draw_history(theme: Theme, trials: Sequence[Trial], measure: str, is_loss: bool) -> Figure:
    figure = new_figure(8, 3)
    axes = _axes(figure, theme, (1, 1, 1), "trial", measure)
    for state, colour, filled in ((TrialState.COMPLETE, theme.bar, True), (TrialState.PRUNED, theme.muted, False)):
        shown = [one for one in trials if one.state is state]
        axes.scatter(
            [one.number for one in shown], [one.value or 0.0 for one in shown], s=28, zorder=3,
            facecolors=colour if filled else "none", edgecolors=colour, label=state.value,
        )  # fmt: skip
    pick = min if is_loss else max
    numbers: list[int] = []
    best: list[float] = []
    for one in trials:
        if one.state is TrialState.COMPLETE and one.value is not None:
            numbers.append(one.number)
            best.append(pick(one.value, best[-1]) if best else one.value)
    if best:
        numbers, best = [*numbers, max(one.number for one in trials)], [*best, best[-1]]
    axes.step(numbers, best, where="post", color=theme.anchor, label="best so far")
    _whole_numbers(axes)
    _legend(axes, theme)
    return figure


def _draw_curves(theme: Theme, trials: Sequence[Trial], best: Trial | None, measure: str) -> Figure:
    figure = new_figure(8, 3.4)
    axes = _axes(figure, theme, (1, 1, 1), "epochs", measure)
    for one in trials:
        is_best = best is not None and one.number == best.number
        epochs = sorted(one.curve)
        axes.plot(
            epochs, [one.curve[epoch] for epoch in epochs], marker="o", markersize=3,
            color=theme.anchor if is_best else theme.bar if one.state is TrialState.COMPLETE else theme.muted,
            linewidth=2.2 if is_best else 0.9, alpha=1.0 if is_best else 0.7,
        )  # fmt: skip
        if epochs:
            axes.annotate(f" {one.number}", (epochs[-1], one.curve[epochs[-1]]), color=theme.muted, fontsize=8)
    _whole_numbers(axes)
    return figure


def _draw_importance(theme: Theme, importance: Mapping[str, float]) -> Figure:
    names = sorted(importance, key=lambda name: importance[name])
    figure = new_figure(8, 0.6 + 0.32 * len(names))
    axes = _axes(figure, theme, (1, 1, 1), "share", "")
    axes.barh(
        [short_name(name) for name in names],
        [importance[name] for name in names],
        color=theme.bar,
        height=0.6,
        zorder=2,
    )
    return figure


def _draw_parallel(theme: Theme, trials: Sequence[Trial], names: Sequence[str], measure: str, is_loss: bool) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap

    figure = new_figure(max(8.0, 1.3 * (len(names) + 1)), 4)
    axes = new_axes(figure, theme, (1, 1, 1))
    axes.spines[["left", "bottom"]].set_visible(False)
    scales = [_Scale([one.settings[name] for one in trials if name in one.settings]) for name in names]
    values = _Scale([one.value or 0.0 for one in trials], linear=True)
    colours = LinearSegmentedColormap.from_list("amounts", theme.heat[1:])
    for one in sorted(trials, key=lambda one: one.value or 0.0, reverse=is_loss):
        own = values.height(one.value or 0.0)
        points = [
            (place, scale.height(one.settings[name]))
            for place, (name, scale) in enumerate(zip(names, scales, strict=True))
            if name in one.settings
        ]
        across, up = zip(*points, (len(names), own), strict=True)
        colour = colours(1 - own if is_loss else own)
        axes.plot(across, up, color=colour, linewidth=1.4, marker="o", markersize=3)
    for place, scale in enumerate([*scales, values]):
        axes.axvline(place, color=theme.grid, linewidth=1, zorder=0)
        for text, height in scale.marks():
            axes.annotate(
                text, (place, height), color=theme.muted, fontsize=8, xytext=(3, 2), textcoords="offset points"
            )
    axes.set_yticks([])
    axes.set_xticks(range(len(names) + 1), [*(_broken(name) for name in names), measure], color=theme.ink)
    return figure


def _draw_slices(theme: Theme, trials: Sequence[Trial], names: Sequence[str], measure: str) -> Figure:
    rows = math.ceil(len(names) / _COLUMNS)
    figure = new_figure(9, 2.4 * rows)
    for place, name in enumerate(names):
        shown = [one for one in trials if name in one.settings]
        scale = _Scale([one.settings[name] for one in shown])
        axes = _axes(figure, theme, (rows, _COLUMNS, place + 1), name, measure if place % _COLUMNS == 0 else "")
        places: list[Any] = [
            scale.names.index(f"{one.settings[name]}") if scale.names else one.settings[name] for one in shown
        ]
        for state, alpha in ((TrialState.COMPLETE, 1.0), (TrialState.PRUNED, 0.4)):
            points = [(where, one.value or 0.0) for where, one in zip(places, shown, strict=True) if one.state is state]
            axes.scatter(
                [where for where, _ in points], [value for _, value in points], s=26, color=theme.bar, alpha=alpha
            )
        if scale.names:
            axes.set_xticks(range(len(scale.names)), [short_name(one, 12) for one in scale.names])
            axes.set_xlim(-0.5, len(scale.names) - 0.5)
        elif scale.is_log:
            axes.set_xscale("log")
        else:
            axes.locator_params(axis="x", nbins=4)
    return figure


def _draw_proof(theme: Theme, finalists: Sequence[Finalist]) -> Figure:
    shown = [one for one in finalists if one.low is not None and one.high is not None]
    figure = new_figure(8, 1.0 + 0.4 * len(shown))
    axes = _axes(figure, theme, (1, 1, 1), "AP to the defaults", "")
    axes.axvline(0, color=theme.anchor, linewidth=1.2)
    for place, one in enumerate(shown):
        middle, low, high = one.difference or 0.0, one.low or 0.0, one.high or 0.0
        axes.errorbar(
            [middle], [place], xerr=[[max(middle - low, 0.0)], [max(high - middle, 0.0)]], fmt="o", color=theme.bar,
            capsize=4,
        )  # fmt: skip
    axes.set_yticks(range(len(shown)), [one.name for one in shown], color=theme.ink)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    return figure


class _Scale:
    """Values of a setting on an axis from 0 to 1: numbers by size, all others side by side."""

    def __init__(self, values: Sequence[Value], linear: bool = False) -> None:
        numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        is_number = len(numbers) == len(values)
        self.names = [] if is_number else sorted({f"{value}" for value in values})
        self.low, self.high = (min(numbers), max(numbers)) if is_number and numbers else (0.0, 1.0)
        self.is_log = is_number and not linear and self.low > 0 and self.high / self.low >= _LOG_RATIO

    def height(self, value: Value) -> float:
        """The place of a value."""
        if self.names:
            return self.names.index(f"{value}") / max(len(self.names) - 1, 1)
        change = math.log if self.is_log else float
        low, high = change(self.low), change(self.high)
        return (change(float(value)) - low) / (high - low) if high > low else 0.5

    def marks(self) -> list[tuple[str, float]]:
        """The marks of the axis: every name, or both ends."""
        if self.names:
            return [(short_name(name, 12), self.height(name)) for name in self.names]
        return [(f"{value:.3g}", self.height(value)) for value in dict.fromkeys((self.low, self.high))]


def _axes(figure: Figure, theme: Theme, place: tuple[int, int, int], x: str, y: str) -> Axes:
    axes = new_axes(figure, theme, place)
    axes.set_xlabel(x, color=theme.ink, fontsize=9)
    axes.set_ylabel(y, color=theme.ink, fontsize=9)
    axes.grid(color=theme.grid, linewidth=0.5, axis="y")
    return axes


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _legend(axes: Axes, theme: Theme) -> None:
    axes.legend(frameon=False, labelcolor=theme.ink, fontsize=9, loc="best")


def _broken(name: str) -> str:
    """A long name on several lines."""
    return name.replace("_", "_\n") if len(name) > 10 else name
