"""The evaluation report: one HTML file without scripts, and its charts as PNG files beside it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boxwright.dataset.report import SplitBoxes
from boxwright.dataset.report import pictures as dataset_pictures
from boxwright.evaluation import (
    CHART_PICTURES,
    METRICS_FILE,
    REPORT_PAGE,
    Analysis,
    Difference,
    EvaluationSummary,
    GateReport,
    worst_confusions,
)
from boxwright.evaluation.report.charts import draw_charts
from boxwright.evaluation.report.galleries import Pair
from boxwright.evaluation.report.lookalikes import LookalikePicture
from boxwright.reporting import Chart, render
from boxwright.storage import replacing, write_atomic

SHOWN_LABELS = 30
_METRICS = (
    ("AP", "AP", "mean over IoU 0.50 to 0.95"),
    ("AP50", "AP50", "at IoU 0.50"),
    ("AP75", "AP75", "at IoU 0.75"),
    ("VOC_AP50", "VOC AP50", "as Pascal VOC has it"),
    ("AP_small", "AP small", "boxes below 32 x 32 pixels"),
    ("AP_medium", "AP medium", "32 x 32 to 96 x 96"),
    ("AP_large", "AP large", "above 96 x 96"),
    ("AR1", "AR1", "recall with 1 detection an image"),
    ("AR10", "AR10", "with 10"),
    ("AR100", "AR100", "with 100"),
    ("precision", "Precision", "mean over classes, at the threshold and IoU 0.50"),
    ("recall", "Recall", "the same"),
    ("F1", "F1", "the same"),
)


@dataclass(frozen=True)
class Background:
    """The facts about a run that its report shows beside the measurements.

    Attributes:
        title: what was evaluated, as a name or URI.
        lineage: where the model comes from: labels and values.
        config: the run's configuration, as JSON values.
        history: the training's, one record an epoch.
        splits: the boxes of each split of the data.
        anchors: of the model, for the data's charts.
        links: files beside the page to point at.
    """

    title: str
    lineage: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    splits: Mapping[str, SplitBoxes] = field(default_factory=dict)
    anchors: dataset_pictures.Anchors | None = None
    links: Sequence[str] = (METRICS_FILE,)


def write_report(
    folder: Path,
    evaluation: EvaluationSummary,
    analysis: Analysis,
    galleries: Mapping[str, Sequence[Pair]],
    background: Background,
    gate: GateReport | None = None,
    lookalikes: Sequence[LookalikePicture] = (),
) -> None:
    """Writes `report.html`, which loads nothing from anywhere, and its charts as PNG files; the page last.

    Args:
        folder: where to write.
        evaluation: what was measured.
        analysis: errors, curves and calibration.
        galleries: `worst` and `sample`, as far as there are images.
        background: of the run.
        gate: its checks; no verdict is given where there is none.
        lookalikes: objects beside those that they are taken for.
    """
    charts = draw_charts(analysis, background.history)
    for name, chart in charts.items():
        with replacing(folder / CHART_PICTURES[name]) as temporary:
            temporary.write_bytes(_on_white(chart))
    titles, class_rows = _classes(evaluation)
    page = render(
        __name__.rpartition(".")[0],
        "evaluation.html",
        background=background,
        evaluation=evaluation,
        confusions=worst_confusions(evaluation.told_apart),
        guessed=[name for name, one in evaluation.told_apart.items() if one.verdict == "guessed"],
        lookalikes=lookalikes,
        tiles=_tiles(evaluation),
        rows=_metric_rows(evaluation),
        gate=gate,
        failed_checks=[check for check in gate.checks if not check.passed] if gate else [],
        charts=charts,
        class_titles=titles,
        class_rows=class_rows,
        analysis=analysis,
        galleries={name: galleries.get(name, ()) for name in ("worst", "sample")},
        labels=analysis.labels[:SHOWN_LABELS],
        data_charts=dataset_pictures.draw_charts(background.splits, background.anchors) if background.splits else [],
        settings=_flat(background.config),
    )
    write_atomic(folder / REPORT_PAGE, page)


def _on_white(chart: Chart) -> bytes:
    """A chart as a file of its own, which no page lies behind."""
    from PIL import Image

    with Image.open(io.BytesIO(chart.light)) as drawn:
        image = drawn.convert("RGBA")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    buffer = io.BytesIO()
    Image.alpha_composite(white, image).convert("RGB").save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _tiles(evaluation: EvaluationSummary) -> list[tuple[str, str]]:
    """The most important numbers, each with its label."""
    tiles = [(_value(evaluation.metrics.get(name)), name) for name in ("AP50", "AP", "F1")]
    tiles.append((_value(evaluation.threshold), "threshold of the best F1"))
    if speed := evaluation.speed:
        tiles.append((f"{speed.latency_ms:.0f} ms", f"an image at batch 1, {speed.device}"))
    return tiles


def _metric_rows(evaluation: EvaluationSummary) -> list[dict[str, Any]]:
    """One row a metric that either model has, with the difference to the champion where that was measured."""
    beaten = evaluation.champion.metrics if evaluation.champion else None
    rows = []
    for name, label, meaning in _METRICS:
        value, champion = evaluation.metrics.get(name), (beaten or {}).get(name)
        if value is None and champion is None:
            continue
        row = {"label": label, "meaning": meaning, "value": value, "champion": champion}
        if evaluation.comparison:
            row |= _difference(value, champion, evaluation.comparison.metrics.get(name))
        rows.append(row)
    return rows


def _difference(after: float | None, before: float | None, found: Difference | None) -> dict[str, Any]:
    """The difference of two values; it has a style where its interval is on one side of zero."""
    if after is None or before is None:
        return {"difference": None, "style": "", "interval": "-", "ahead": "-"}
    if found is None or found.low is None or found.high is None:
        return {"difference": after - before, "style": "", "interval": "", "ahead": ""}
    sure = found.low > 0 or found.high < 0
    return {
        "difference": after - before,
        "style": ("good" if after > before else "error") if sure else "",
        "interval": f"{found.low:+.3f} to {found.high:+.3f}",
        "ahead": f"{found.better:.0%} of samples",
    }


def _classes(evaluation: EvaluationSummary) -> tuple[list[str], list[list[str]]]:
    """The titles and rows of the table of classes."""
    names = ("AP", "AP50", "AP75", "precision", "recall", "F1")
    differences = evaluation.comparison.per_class if evaluation.comparison else {}
    titles = ["Class", "Boxes", *(name if name.isupper() else name.capitalize() for name in names)]
    titles += ["AP to champion"] if differences else []
    rows = []
    for name, metrics in evaluation.per_class.items():
        row = [name, f"{metrics.boxes:,}", *(_value(getattr(metrics, key)) for key in names)]
        if differences:
            row.append(_value(differences[name].difference if name in differences else None, "+.3f"))
        rows.append(row)
    return titles, rows


def _value(value: float | None, form: str = ".3f") -> str:
    return "-" if value is None else format(value, form)


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat += _flat(value, f"{prefix}{name}.")
        else:
            flat.append((f"{prefix}{name}", value))
    return flat
