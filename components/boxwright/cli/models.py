"""`boxwright models`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from boxwright import api
from boxwright.cli.options import described
from boxwright.cli.tables import table, wide_console


def models(
    weights_uri: Annotated[str | None, typer.Option(help=described("weights_uri"))] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Lists the models with size, published accuracy, defaults, and whether their weights are available."""
    rows = api.models(weights_uri)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    found = table("model_id", "family", "input", "parameters", "COCO AP", "weights to start from", "own defaults")
    for row in rows:
        millions = f"{row['parameters'] / 1e6:.1f} M" if row["parameters"] else ""
        defaults = ", ".join(f"{name}={value}" for name, value in row["defaults"].items())
        size, accuracy = str(row["image_size"]), str(row["coco_ap"] or "")
        found.add_row(row["model_id"], row["family"], size, millions, accuracy, _weights_text(row), defaults)
    wide_console().print(found)


def _weights_text(row: dict[str, Any]) -> str:
    weights = row["weights"]
    if weights is None:
        return "random"
    missing = "boxwright weights pull" if weights["is_imported"] else "put them below weights_uri"
    state = {True: "here", False: f"not here: {missing}", None: "the store does not answer"}
    return f"{weights['trained_on']} ({weights['covers']}), {weights['name']}; {state[weights['there']]}"
