"""`boxwright models`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from boxwright.cli.options import described
from boxwright.errors import BoxwrightError
from boxwright.model import MODELS, ModelSpec
from boxwright.model.weights import weights_ready


def models(
    weights_uri: Annotated[str | None, typer.Option(help=described("weights_uri"))] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Lists the models with size, published accuracy, defaults, and whether their weights are available."""
    rows = [_described(spec, weights_uri) for spec in MODELS.values()]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    # An id is there to be copied: wrapped where there is no room, never cut.
    first = Column("model_id", overflow="fold")
    table = Table(first, "family", "input", "parameters", "COCO AP", "weights to start from", "own defaults")
    for row in rows:
        millions = f"{row['parameters'] / 1e6:.1f} M" if row["parameters"] else ""
        defaults = ", ".join(f"{name}={value}" for name, value in row["defaults"].items())
        size, accuracy = str(row["image_size"]), str(row["coco_ap"] or "")
        table.add_row(row["model_id"], row["family"], size, millions, accuracy, _weights_text(row), defaults)
    console = Console()
    # A table is cut at the console's width; a pipe has none.
    (console if console.is_terminal else Console(width=240)).print(table)


def _described(spec: ModelSpec, weights_uri: str | None) -> dict[str, Any]:
    shown = ("model_id", "family", "image_size", "parameters", "coco_ap", "defaults")
    weights = None
    if spec.weights is not None:
        weights = asdict(spec.weights) | {
            "is_imported": spec.weights.is_imported,
            "there": _there(spec, weights_uri),
        }
    return {name: getattr(spec, name) for name in shown} | {"weights": weights}


def _there(spec: ModelSpec, weights_uri: str | None) -> bool | None:
    """None where the weights store does not answer."""
    try:
        return weights_ready(spec, weights_uri)
    except BoxwrightError:
        return None


def _weights_text(row: dict[str, Any]) -> str:
    weights = row["weights"]
    if weights is None:
        return "random"
    missing = "boxwright weights pull" if weights["is_imported"] else "put them below weights_uri"
    state = {True: "here", False: f"not here: {missing}", None: "the store does not answer"}
    return f"{weights['trained_on']} ({weights['covers']}), {weights['name']}; {state[weights['there']]}"
