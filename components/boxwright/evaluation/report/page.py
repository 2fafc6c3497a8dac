"""The evaluation report: one HTML file without scripts, and its charts as PNG files beside it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boxwright.dataset.report import SplitBoxes
from boxwright.dataset.report import pictures as dataset_pictures
from boxwright.evaluation import CHART_PICTURES, METRICS_FILE, REPORT_PAGE, Analysis, GateReport
from boxwright.evaluation.report.charts import draw_charts
from boxwright.evaluation.report.galleries import Pair
from boxwright.reporting import Chart, chart_figure, data_uri, document, long_text, number, table, text_of
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
_STYLE = """
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 1rem 0 0; font-size: .9rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem; margin: 1rem 0; }
.tiles div { background: var(--raised); border-radius: .4rem; padding: .6rem .9rem; }
.tiles b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; } .tiles span { font-size: .85rem; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); gap: 1rem; }
.gallery figure { margin: 0; overflow: visible; } .gallery img { display: block; width: 100%; border-radius: .3rem; }
.gallery .close { display: none; }
.gallery figure:target { position: fixed; inset: 0; z-index: 1; overflow: auto; padding: 1rem;
  background: var(--paper); }
.gallery figure:target img { max-width: 110rem; margin: auto; }
.gallery figure:target .close { display: inline-block; position: sticky; top: 0; left: 0; margin: 0 0 .75rem;
  padding: .3rem .9rem; border: 1px solid currentColor; border-radius: .3rem; background: var(--paper); }
pre { overflow-x: auto; background: var(--raised); padding: .75rem 1rem; font-size: .8rem; }
@media (max-width: 42rem) { .gallery figure:target img { width: 52rem; max-width: none; } }
@media print { nav, .close { display: none; } body { max-width: none; padding: 0; font-size: .85rem; }
  figure, tr, .tiles div { break-inside: avoid; } h2, h3, h2 + p { break-after: avoid; }
  .gallery { grid-template-columns: 1fr 1fr; } .chart img { min-width: 0; } }
"""


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
    evaluation: Mapping[str, Any],
    analysis: Analysis,
    galleries: Mapping[str, Sequence[Pair]],
    background: Background,
    gate: GateReport | None = None,
) -> None:
    """Writes `report.html`, which loads nothing from anywhere, and its charts as PNG files; the page last.

    Args:
        folder: where to write.
        evaluation: the content of `metrics.json`.
        analysis: errors, curves and calibration.
        galleries: `worst` and `sample`, as far as there are images.
        background: of the run.
        gate: its checks; no verdict is given where there is none.
    """
    charts = draw_charts(analysis, background.history)
    for name, chart in charts.items():
        with replacing(folder / CHART_PICTURES[name]) as temporary:
            temporary.write_bytes(_on_white(chart))
    parts = [
        _head(evaluation, background, gate),
        _headline(evaluation),
        _checks(gate),
        _figure(charts, "learning"),
        _classes(evaluation),
        *(_figure(charts, name) for name in ("pr_curves", "confusion_matrix", "calibration", "error_kinds")),
        _error_table(analysis),
        _gallery("worst", "Images with most errors", galleries.get("worst", ())),
        _gallery("sample", "A random sample", galleries.get("sample", ())),
        _labels(analysis),
        _data(background),
        _run(background),
    ]
    write_atomic(folder / REPORT_PAGE, document(f"Evaluation of {background.title}", parts, _STYLE))


def _on_white(chart: Chart) -> bytes:
    """A chart as a file of its own, which no page lies behind."""
    from PIL import Image

    with Image.open(io.BytesIO(chart.light)) as drawn:
        image = drawn.convert("RGBA")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    buffer = io.BytesIO()
    Image.alpha_composite(white, image).convert("RGB").save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _head(evaluation: Mapping[str, Any], background: Background, gate: GateReport | None) -> str:
    metrics = evaluation["metrics"]
    beside = ", ".join(f'<a href="{text_of(link)}">{text_of(link)}</a>' for link in background.links)
    measured = (
        f"Measured on {number(metrics['images'])} {text_of(evaluation['split'])} images with "
        f"{number(metrics['boxes'])} boxes. Beside this page: {beside}."
    )
    sections = (
        ("metrics", "Metrics"), ("classes", "Classes"), ("worst", "Worst images"), ("sample", "Sample"),
        ("data", "Data"), ("run", "Run"),
    )  # fmt: skip
    links = "".join(f'<a href="#{name}">{label}</a>' for name, label in sections)
    return (
        f"<h1>Evaluation of {long_text(background.title)}</h1>\n{_verdict(gate)}"
        f'<p class="muted">{measured}</p>\n<nav>{links}</nav>\n'
    )


def _verdict(gate: GateReport | None) -> str:
    if gate is None:
        return ""
    failed = [check for check in gate.checks if not check.passed]
    if not failed:
        return '<p class="verdict good">The model passes its gate.</p>\n'
    reasons = "".join(f"<br>{text_of(str(check))}" for check in failed)
    return f'<p class="verdict error">The model does not pass its gate.{reasons}</p>\n'


def _headline(evaluation: Mapping[str, Any]) -> str:
    metrics, speed = evaluation["metrics"], evaluation.get("speed") or {}
    threshold = evaluation.get("threshold")
    tiles = [
        (_value(metrics["AP50"]), "AP50"),
        (_value(metrics["AP"]), "AP"),
        (_value(metrics["F1"]), "F1"),
        ("-" if threshold is None else f"{threshold:.3f}", "threshold of the best F1"),
        *([(f"{speed['latency_ms']:.0f} ms", f"an image at batch 1, {speed['device']}")] if speed else []),
    ]
    shown = "".join(f'<div><b>{value}</b><span class="muted">{text_of(label)}</span></div>' for value, label in tiles)
    return f'<h2 id="metrics">Metrics</h2>\n<div class="tiles">{shown}</div>\n{_metrics(evaluation)}{_speed(speed)}'


def _metrics(evaluation: Mapping[str, Any]) -> str:
    metrics, champion = evaluation["metrics"], evaluation.get("champion")
    beaten = (champion or {}).get("metrics")
    shown = [row for row in _METRICS if metrics.get(row[0]) is not None or (beaten or {}).get(row[0]) is not None]
    if not beaten:
        rows = [[label, _value(metrics.get(name)), text_of(meaning)] for name, label, meaning in shown]
        problem = (champion or {}).get("problem")
        note = f'<p class="warning">The champion was not measured: {text_of(problem)}.</p>\n' if problem else ""
        return table(["Metric", "Value", "Meaning"], rows, (1,)) + note
    comparison = evaluation["comparison"]
    rows = [
        [
            f'{label}<br><span class="muted">{text_of(meaning)}</span>',
            _value(metrics.get(name)),
            _value(beaten.get(name)),
            *_difference(metrics.get(name), beaten.get(name), comparison["metrics"].get(name)),
        ]
        for name, label, meaning in shown
    ]
    note = (
        f'<p class="muted">The champion is {text_of(champion["reference"])}, measured in the same step on the same '  # type: ignore[index]
        f"images and thresholds. Intervals: paired bootstrap, {comparison['samples']:,} samples of "
        f"{comparison['images']:,} images.</p>\n"
    )
    titles = ["Metric", "This model", "Champion", "Difference", "95 % interval", "Ahead in"]
    return table(titles, rows, range(1, 6)) + note


def _difference(after: float | None, before: float | None, found: Mapping[str, Any] | None) -> list[str]:
    if after is None or before is None:
        return ["-", "-", "-"]
    change = after - before
    sure = found is not None and found["low"] is not None and (found["low"] > 0 or found["high"] < 0)
    style = "" if not sure else ' class="good"' if change > 0 else ' class="error"'
    cells = [f"<span{style}>{change:+.3f}</span>"]
    if found is None or found["low"] is None:
        return [*cells, "", ""]
    return [*cells, f"{found['low']:+.3f} to {found['high']:+.3f}", f"{found['better']:.0%} of samples"]


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _speed(speed: Mapping[str, Any]) -> str:
    if not speed:
        return ""
    rate = speed["images_per_second"]
    many = f", {rate:.1f} images a second at batch {speed['batch_size']}" if rate else ""
    return (
        f'<p class="muted">Speed on the machine that evaluated ({speed["device"]}): {speed["latency_ms"]:.1f} ms an '
        f"image at batch 1 (95 of 100 below {speed['latency_p95_ms']:.1f} ms){many}. Weights: "
        f"{speed['size_bytes'] / 1e6:.1f} MB.</p>\n"
    )


def _checks(gate: GateReport | None) -> str:
    if gate is None:
        return ""
    rows = []
    for check in gate.checks:
        name, value, bound, verdict = check.row()
        style = "good" if check.passed else "error"
        rows.append([text_of(name), value, text_of(bound), f'<span class="{style}">{verdict}</span>'])
    return "<h2>Gate</h2>\n" + table(["Check", "Value", "Bound", "Verdict"], rows, (1, 2))


def _figure(charts: Mapping[str, Chart], name: str) -> str:
    return chart_figure(charts[name]) if name in charts else ""


def _classes(evaluation: Mapping[str, Any]) -> str:
    names = ("AP", "AP50", "AP75", "precision", "recall", "F1")
    differences = ((evaluation.get("comparison") or {}).get("per_class")) or {}
    titles = ["Class", "Boxes", *(name if name.isupper() else name.capitalize() for name in names)]
    titles += ["AP to champion"] if differences else []
    rows = []
    for name, metrics in evaluation["per_class"].items():
        change = differences.get(name, {}).get("difference")
        row = [text_of(name), number(metrics["boxes"]), *(_value(metrics[key]) for key in names)]
        rows.append(row + ([f"{change:+.3f}" if change is not None else "-"] if differences else []))
    note = '<p class="muted">Precision, recall and F1 at the threshold and IoU 0.5.</p>\n'
    return '<h2 id="classes">Classes</h2>\n' + table(titles, rows, range(1, len(titles))) + note


def _error_table(analysis: Analysis) -> str:
    rows = [
        [
            text_of(kind.name),
            text_of(kind.meaning),
            number(kind.count_at_threshold),
            number(kind.count),
            f"{kind.cost:.3f}",
        ]
        for kind in analysis.errors
    ]
    return table(["Kind", "Meaning", "At the threshold", "Of all detections", "AP50 it costs"], rows, (2, 3, 4))


def _gallery(name: str, title: str, pairs: Sequence[Pair]) -> str:
    if not pairs:
        return ""
    figures = []
    for place, pair in enumerate(pairs):
        key = f"{name}-{place}"
        alt = f"{text_of(pair.file)}: ground truth on the left, predictions on the right. {pair.caption}"
        figures.append(
            f'<figure id="{key}"><a class="close" href="#{name}">Close</a>'
            f'<a href="#{key}"><img alt="{alt}" src="{data_uri(pair.jpeg, "jpeg")}"></a>'
            f"<figcaption>{text_of(pair.file)}<br>{pair.caption}</figcaption></figure>"
        )
    note = (
        '<p class="muted">Ground truth on the left, predictions of at least the threshold on the right; what is wrong '
        "is red. Choose an image to see it large.</p>\n"
    )
    return f'<h2 id="{name}">{title}</h2>\n{note}<div class="gallery">{"".join(figures)}</div>\n'


def _labels(analysis: Analysis) -> str:
    if not analysis.labels:
        return ""
    what = {"wrong_label": "labelled as {}", "missing_annotation": "not labelled"}
    rows = [
        [
            long_text(label.file),
            f"{text_of(label.found)} {label.score:.2f}",
            text_of(what[label.kind].format(label.labelled)),
            ", ".join(f"{value:.0f}" for value in label.bbox),
        ]
        for label in analysis.labels[:SHOWN_LABELS]
    ]
    note = (
        '<p class="muted">Confident detections that the ground truth contradicts. The model is wrong, or the label '
        "is.</p>\n"
    )
    return "<h2>Labels worth a second look</h2>\n" + note + table(["File", "Found", "Truth", "x, y, w, h"], rows)


def _data(background: Background) -> str:
    if not background.splits:
        return ""
    rows = [
        [text_of(name), number(len(part.files)), number(len(part.corners))] for name, part in background.splits.items()
    ]
    charts = dataset_pictures.draw_charts(background.splits, background.anchors)
    figures = "".join(chart_figure(chart).replace("<h2>", "<h3>").replace("</h2>", "</h3>") for chart in charts)
    return '<h2 id="data">Data</h2>\n' + table(["Split", "Images", "Boxes"], rows, (1, 2)) + figures


def _run(background: Background) -> str:
    rows = [[text_of(label), long_text(value)] for label, value in background.lineage.items()]
    settings = [[text_of(name), long_text(value)] for name, value in _flat(background.config)]
    parts = [table(["Lineage", ""], rows) if rows else "", table(["Setting", ""], settings) if settings else ""]
    return f'<h2 id="run">Run</h2>\n{"".join(parts)}' if any(parts) else ""


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat += _flat(value, f"{prefix}{name}.")
        else:
            flat.append((f"{prefix}{name}", value))
    return flat
