"""The charts of an evaluation report: curves by class, confusion, calibration, error kinds, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from boxwright.evaluation import Analysis
from boxwright.images import class_colour
from boxwright.reporting import Chart, Theme, make_chart, new_axes, new_figure, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_CURVES, SHOWN_CLASSES = 10, 20
_PANELS = (
    ("Loss", {"loss": "training", "val_loss": "validation"}),
    (
        "Parts of the validation loss",
        {"val_localization_loss": "localization", "val_classification_loss": "classification"},
    ),
    ("Validation AP", {"AP": "AP", "AP50": "AP50"}),
    ("Named rightly", {"class_accuracy": "by the model", "class_accuracy_by_lot": "by chance"}),
)


def draw_charts(analysis: Analysis, history: Sequence[Mapping[str, Any]]) -> dict[str, Chart]:
    """The charts by the name of their file; those without anything to show are left out."""
    charts = {}
    if history:
        charts["learning"] = make_chart("Learning curves", _learning_caption(history), _draw_learning, history)
    if analysis.precisions:
        charts["pr_curves"] = make_chart(
            "Precision and recall", _curves_caption(analysis), _draw_curves, analysis, _curves_shown(analysis)
        )
    rows = _rows_shown(analysis)
    charts["confusion_matrix"] = make_chart(
        "Confusion matrix", _confusion_caption(analysis, rows), _draw_confusion, analysis, rows
    )
    charts["calibration"] = make_chart(
        "Confidence calibration", _calibration_caption(analysis), _draw_calibration, analysis
    )
    charts["error_kinds"] = make_chart("What each kind of error costs", _kinds_caption(analysis), _draw_kinds, analysis)
    return charts


# --- in words ---


def _learning_caption(history: Sequence[Mapping[str, Any]]) -> str:
    last = history[-1]
    text = f"{len(history)} epoch{'s' * (len(history) != 1)}"
    if "val_loss" in last:
        best = min(history, key=lambda one: one["val_loss"])
        text += (
            f"; validation loss {history[0]['val_loss']:.3f} after the first, {last['val_loss']:.3f} after the last, "
            f"lowest {best['val_loss']:.3f} after epoch {int(best['epoch']) + 1}"
        )
    return f"{text}."


def _curves_shown(analysis: Analysis) -> list[str]:
    """The classes that are drawn in colour: those with the smallest area."""
    return sorted(analysis.precisions, key=lambda name: float(np.mean(analysis.precisions[name])))[:SHOWN_CURVES]


def _curves_caption(analysis: Analysis) -> str:
    areas = ", ".join(
        f"{short_name(name)} {np.mean(analysis.precisions[name]):.3f}" for name in _curves_shown(analysis)
    )
    more = f" The {SHOWN_CURVES} weakest of {len(analysis.precisions)} are named." * (
        len(analysis.precisions) > SHOWN_CURVES
    )
    return f"At IoU 0.5, over all detections whatever their score. AP50: {areas}.{more}"


def _rows_shown(analysis: Analysis) -> list[int]:
    """The classes with the most confusion, in their own order, and the background."""
    matrix = np.array(analysis.confusion)
    wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
    classes = sorted(np.argsort(-wrong[:-1], kind="stable")[:SHOWN_CLASSES].tolist())
    return [*classes, len(analysis.classes)]


def _confusion_caption(analysis: Analysis, rows: Sequence[int]) -> str:
    matrix = np.array(analysis.confusion)
    right, confused = matrix.diagonal().sum(), matrix[:-1, :-1].sum() - matrix[:-1, :-1].trace()
    hidden = len(analysis.classes) + 1 - len(rows)
    more = f" {hidden} classes with less confusion are not shown." if hidden else ""
    counted = "At the threshold" if analysis.threshold is not None else "Of all detections, for none is right"
    return (
        f"{counted}: {right:,} boxes found as what they are, {confused:,} as another class, "
        f"{matrix[:-1, -1].sum():,} missed (background column), and {matrix[-1, :-1].sum():,} detections where nothing "
        f"is (background row). Rows are the truth, shade is the share of the row.{more}"
    )


def _calibration_caption(analysis: Analysis) -> str:
    return (
        f"How often detections of a score are right. A calibrated model is on the line; this one is "
        f"{analysis.calibration_error:.3f} away from it on average (expected calibration error)."
    )


def _kinds_caption(analysis: Analysis) -> str:
    worst = max(analysis.errors, key=lambda kind: kind.cost)
    return f"AP50 that the model would gain without them, as TIDE defines them; most by {worst.name}: {worst.cost:.3f}."


# --- in pictures ---


def _draw_learning(theme: Theme, history: Sequence[Mapping[str, Any]]) -> Figure:
    from matplotlib.ticker import MaxNLocator

    shown = [
        (title, names)
        for title, names in _PANELS
        if any(one.get(name) is not None for name in names for one in history)
    ]
    figure = new_figure(8.4, 2.9)
    for place, (title, names) in enumerate(shown, start=1):
        axes = new_axes(figure, theme, (1, len(shown), place))
        for colour, (name, label) in zip((theme.anchor, theme.bar), names.items(), strict=True):
            points = [(one["epoch"] + 1, one[name]) for one in history if one.get(name) is not None]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", ms=3, color=colour, label=label)
        axes.set_title(title, fontsize=10, loc="left", color=theme.ink)
        axes.set_xlabel("epoch", fontsize=9, color=theme.muted)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color=theme.grid, lw=0.6)
        axes.legend(frameon=False, fontsize=8, labelcolor=theme.ink)
    return figure


def _draw_curves(theme: Theme, analysis: Analysis, named: Sequence[str]) -> Figure:
    figure = new_figure(8.4, 4.4)
    axes = _unit_axes(figure, theme, (1, 1, 1), "recall", "precision")
    for name, precision in analysis.precisions.items():
        if name not in named:
            axes.plot(analysis.recalls, precision, color=theme.muted, lw=0.6, alpha=0.5)
    for name in named:
        colour = tuple(value / 255 for value in class_colour(analysis.classes.index(name)))
        axes.plot(analysis.recalls, analysis.precisions[name], color=colour, lw=2, label=short_name(name))
    axes.legend(
        frameon=False, fontsize=9, labelcolor=theme.ink, loc="center left", bbox_to_anchor=(1.01, 0.5)
    )  # fmt: skip
    return figure


def _unit_axes(figure: Figure, theme: Theme, place: tuple[int, int, int], across: str, up: str) -> Axes:
    axes = new_axes(figure, theme, place)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(across, fontsize=9, color=theme.muted)
    axes.set_ylabel(up, fontsize=9, color=theme.muted)
    axes.grid(color=theme.grid, lw=0.6)
    axes.set_axisbelow(True)
    return axes


def _draw_confusion(theme: Theme, analysis: Analysis, rows: Sequence[int]) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap

    counts = np.array(analysis.confusion)[np.ix_(rows, rows)]
    share = counts / np.maximum(np.array(analysis.confusion)[rows].sum(axis=1, keepdims=True), 1)
    names = [*(short_name(analysis.classes[row], 18) for row in rows[:-1]), "background"]
    side = 2.6 + 0.55 * len(names)
    figure = new_figure(min(9.0, side + 1.0), min(8.4, side))
    axes = new_axes(figure, theme, (1, 1, 1))
    axes.imshow(share, cmap=LinearSegmentedColormap.from_list("share", theme.heat), vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            inverse = theme.heat[0] if share[row, column] > 0.5 else theme.ink
            axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=8, color=inverse)
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor", color=theme.ink, parse_math=False)
    axes.set_yticks(ticks, names, color=theme.ink, parse_math=False)
    axes.set_xlabel("found", fontsize=9, color=theme.muted)
    axes.set_ylabel("truth", fontsize=9, color=theme.muted)
    return figure


def _draw_calibration(theme: Theme, analysis: Analysis) -> Figure:
    figure = new_figure(8.4, 3.4)
    bins = [one for one in analysis.calibration if one.count]
    left = [one.lower for one in bins]
    axes = _unit_axes(figure, theme, (1, 2, 1), "score", "share that is right")
    axes.bar(left, [one.accuracy for one in bins], 0.092, align="edge", color=theme.bar)
    axes.plot((0, 1), (0, 1), color=theme.anchor, lw=1.2)
    axes = new_axes(figure, theme, (1, 2, 2))
    axes.bar(left, [one.count for one in bins], 0.092, align="edge", color=theme.bar)
    axes.set_xlim(0, 1)
    axes.set_yscale("symlog")
    axes.set_xlabel("score", fontsize=9, color=theme.muted)
    axes.set_ylabel("detections", fontsize=9, color=theme.muted)
    return figure


def _draw_kinds(theme: Theme, analysis: Analysis) -> Figure:
    figure = new_figure(8.4, 2.4)
    axes = new_axes(figure, theme, (1, 1, 1))
    rows = range(len(analysis.errors))
    costs = [kind.cost for kind in analysis.errors]
    axes.barh(rows, costs, height=0.68, color=theme.bar)
    for row, cost in zip(rows, costs, strict=True):
        axes.annotate(
            f"{cost:.3f}",
            (max(cost, 0), row),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=theme.ink,
        )
    axes.set_yticks(rows, [kind.name for kind in analysis.errors], color=theme.ink)
    axes.set_xlim(0, max([0.01, *costs]) * 1.15)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.invert_yaxis()
    return figure
