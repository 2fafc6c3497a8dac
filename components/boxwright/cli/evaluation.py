"""`boxwright evaluate` and `boxwright compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from boxwright.cli.options import AsJson, ModelArgument, ModelOption, Report, Trust, described, one_model
from boxwright.cli.progress import say_loading
from boxwright.cli.tables import table, wide_console
from boxwright.config import ANNOTATIONS_FILE, EvaluationConfig
from boxwright.errors import DataError

if TYPE_CHECKING:
    from boxwright.evaluation import Comparison, EvaluationSummary

_MODEL = "Model to evaluate: models:/NAME/VERSION, models:/NAME@ALIAS, or the URI of a model.tar.gz."
_SHOWN = ("AP", "AP50", "AP75", "VOC_AP50", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100")
_AT_THRESHOLD = ("precision", "recall", "F1")

Dataset = Annotated[
    str, typer.Option(help="Folder or s3:// prefix of a dataset, or of a folder whose sub-folders are its splits.")
]
AnnotationsFile = Annotated[str, typer.Option(help=described("annotations_file"))]
Voc = Annotated[bool, typer.Option("--voc", help=described("voc", EvaluationConfig))]


def evaluate(
    dataset: Dataset,
    argument: ModelArgument = None,
    option: ModelOption = None,
    report: Report = None,
    annotations_file: AnnotationsFile = ANNOTATIONS_FILE,
    voc: Voc = False,
    as_json: AsJson = False,
    trust_saved_model: Trust = False,
) -> None:
    """Evaluates a model on a dataset: COCO metrics, kinds of errors, speed, and a report."""
    model = one_model(argument, option)
    say_loading(model)
    from boxwright.registry import measure_model, resolve_model

    answering = None
    if trust_saved_model:
        from boxwright.serving.engine import PredictorAnswers, load_predictor

        answering = PredictorAnswers(load_predictor(resolve_model(model), trust_saved_model=True))
    settings = EvaluationConfig(voc=voc)  # type: ignore[call-arg]
    summary = measure_model(model, dataset, report, None, annotations_file, settings, answering)
    if as_json:
        typer.echo(json.dumps(summary.to_dict()))
        return
    wide_console().print(_metrics_table(summary))
    wide_console().print(_class_table(summary))
    _say_confusions(summary)
    _say_report(report)


def compare(
    model_a: Annotated[str, typer.Argument(help=_MODEL)],
    model_b: Annotated[str, typer.Argument(help="Second model; differences are B minus A.")],
    dataset: Dataset,
    report: Report = None,
    annotations_file: AnnotationsFile = ANNOTATIONS_FILE,
    voc: Voc = False,
    as_json: AsJson = False,
) -> None:
    """Compares two models on the same images: differences of the metrics with 95 % confidence intervals."""
    say_loading(model_a, model_b)
    from boxwright.registry import measure_model

    summary = measure_model(model_b, dataset, report, model_a, annotations_file, EvaluationConfig(voc=voc))  # type: ignore[call-arg]
    if summary.comparison is None:
        raise DataError(f"{model_a} was not measured: {summary.champion and summary.champion.problem}")
    if as_json:
        typer.echo(json.dumps(summary.to_dict()))
        return
    console = wide_console()
    for letter, model in (("A", model_a), ("B", model_b)):
        console.print(f"{letter}: {model}", soft_wrap=True, markup=False)
    console.print(_comparison_table(summary.comparison))
    _say_report(report)


def _metrics_table(summary: EvaluationSummary) -> Table:
    rows = table("metric", "value")
    for name in (*_SHOWN, *_AT_THRESHOLD):
        if name in summary.metrics:
            rows.add_row(name, _number(summary.metrics[name]))
    rows.add_row("threshold", _number(summary.threshold))
    rows.add_row("images, boxes", f"{summary.metrics['images']:,}, {summary.metrics['boxes']:,}")
    if summary.speed:
        rows.add_row("ms an image at batch 1", f"{summary.speed.latency_ms:.1f}")
    return rows


def _class_table(summary: EvaluationSummary) -> Table:
    names = ("AP", "AP50", "AP75", *_AT_THRESHOLD)
    rows = table("class", "boxes", *names)
    for name, metrics in summary.per_class.items():
        rows.add_row(escape(name), f"{metrics.boxes:,}", *(_number(getattr(metrics, key)) for key in names))
    return rows


def _say_confusions(summary: EvaluationSummary) -> None:
    from boxwright.evaluation import worst_confusions

    guessed = [(name, one) for name, one in summary.told_apart.items() if one.verdict == "guessed"]
    lines = [f"{name} is no better than guessing: {one.evidence()}" for name, one in guessed]
    if confusions := worst_confusions(summary.told_apart):
        lines.append(f"taken for each other: {', '.join(map(str, confusions))} of the boxes that are placed right")
    for line in lines:
        wide_console().print(line, soft_wrap=True, markup=False)


def _comparison_table(comparison: Comparison) -> Table:
    rows = table("metric", "A", "B", "B - A", "95 % interval", "B ahead in")
    for name, found in comparison.metrics.items():
        interval = "-" if found.low is None else f"{found.low:+.4f} to {found.high:+.4f}"
        ahead = "-" if found.better is None else f"{found.better:.0%}"
        rows.add_row(
            name, _number(found.champion), _number(found.candidate), _signed(found.difference), interval, ahead
        )
    for name, found in comparison.per_class.items():
        rows.add_row(
            f"AP of {escape(name)}",
            _number(found.champion),
            _number(found.candidate),
            _signed(found.difference),
        )
    return rows


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"


def _say_report(report: Path | None) -> None:
    if report:
        wide_console().print(f"report {report / 'report.html'}", soft_wrap=True, markup=False)
