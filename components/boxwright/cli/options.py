"""Options that several commands share, and their texts, which come from the configuration."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import BaseModel
from rich.markup import escape

from boxwright.config import RunConfig

RunSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any setting of a run by its name in Airflow's trigger form, such as epochs=5 or gate_min_ap=0.3; "
        "may be repeated.",
    ),
]


def described(field: str, model: type[BaseModel] = RunConfig) -> str:
    """A field's description as an option's help, where brackets are text and not markup."""
    return escape(model.model_fields[field].description or "")
