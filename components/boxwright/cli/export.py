"""`boxwright export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from boxwright.cli.options import AsJson, Calibration, ModelArgument, ModelOption, one_model
from boxwright.cli.progress import say_loading
from boxwright.exporting import FORMATS, check_calibration, export_model, format_named, size_of
from boxwright.exporting import Calibration as Images
from boxwright.storage import local_path

out = Console()


def export(
    formats: Annotated[
        list[str], typer.Option("--format", metavar="FORMAT", help=f"{', '.join(FORMATS)}; may be repeated.")
    ],
    output: Annotated[
        Path, typer.Option(parser=local_path, metavar="FOLDER", help="Folder that gets FORMAT-PRECISION/ of each.")
    ],
    argument: ModelArgument = None,
    option: ModelOption = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Of the weights: "
            + "; ".join(f"{row.name}: {', '.join(row.precisions)}" for row in FORMATS.values())
            + ". The first if unset."
        ),
    ] = None,
    calibration: Calibration = None,
    as_json: AsJson = False,
) -> None:
    """Writes a model in formats that run without TensorFlow and without Boxwright, each checked by numbers."""
    from boxwright.registry import open_model, resolve_model

    model = one_model(argument, option)
    kinds = [format_named(name) for name in formats]
    for kind in kinds:
        kind.check_precision(precision or kind.precisions[0])
        kind.check_installed(precision or kind.precisions[0])
        check_calibration(precision or kind.precisions[0], calibration is not None)
    images = Images(folder=calibration) if calibration else None
    say_loading(model)
    source = resolve_model(model)
    with open_model(source) as folder:
        for kind in kinds:
            chosen = precision or kind.precisions[0]
            target = output / f"{kind.name}-{chosen}"
            facts = export_model(folder, target, kind.name, chosen, source.reference, images)
            size = size_of(target) / 1e6
            if as_json:
                typer.echo(
                    json.dumps({"folder": str(target), "size_mb": round(size, 3), **facts.model_dump(mode="json")})
                )
                continue
            out.print(
                f"{target}: {size:.1f} MB, scores differ by at most {facts.differences.scores:.2g} and boxes by "
                f"{facts.differences.boxes:.2g} of the input on {facts.differences.pictures} pictures",
                soft_wrap=True,
                markup=False,
            )
