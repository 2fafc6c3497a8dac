"""What the command line takes from the configuration."""

from __future__ import annotations

from pydantic import BaseModel
from rich.markup import escape

from boxwright.config import RunConfig


def described(field: str, model: type[BaseModel] = RunConfig) -> str:
    """A field's description as an option's help, where brackets are text and not markup."""
    return escape(model.model_fields[field].description or "")
