"""`boxwright benchmark`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from boxwright.cli.evaluation import AnnotationsFile, Dataset
from boxwright.cli.options import AsJson, Calibration, ModelArgument, ModelOption, one_model
from boxwright.cli.tables import table, wide_console
from boxwright.config import ANNOTATIONS_FILE, EXPORT_NAMES

if TYPE_CHECKING:
    from boxwright.registry import Benchmark

_NAMES = ", ".join(EXPORT_NAMES)


def benchmark(
    dataset: Dataset,
    argument: ModelArgument = None,
    option: ModelOption = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="FORMAT[:PRECISION]", help=f"{_NAMES}; may be repeated. All if unset."),
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="Threads that compute; 0 for one a core.")] = 0,
    annotations_file: AnnotationsFile = ANNOTATIONS_FILE,
    calibration: Calibration = None,
    as_json: AsJson = False,
) -> None:
    """Holds a model's formats against the model on a dataset: AP and its loss, milliseconds, size, on this machine."""
    from boxwright.registry import benchmark_model

    model = one_model(argument, option)
    found = benchmark_model(model, dataset, formats or (), threads, annotations_file, calibration)
    if as_json:
        facts = {"model": found.reference, "machine": found.machine, "threads": found.threads}
        typer.echo(json.dumps(facts | {"formats": found.summary.to_dict()}))
        return
    _show(found)


def _show(found: Benchmark) -> None:
    from boxwright.evaluation.report import TITLES, format_rows

    console, rows = wide_console(), table(*TITLES[:-1])
    for row in format_rows(found.summary):
        rows.add_row(*row[:-1])
    console.print(rows)
    images = f"{found.summary.images:,} {found.summary.split} images"
    threads = found.threads or "one thread a core"
    console.print(f"{found.reference} on {images}; {found.machine}, threads: {threads}", soft_wrap=True, markup=False)
    for record in found.summary.formats:
        if record.reason:
            console.print(f"{record.name}: {record.reason}", soft_wrap=True, markup=False)
