"""The page of all settings, from the records of `boxwright.config`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from boxwright.config import SECTIONS, BatchInferenceConfig, RunConfig, ServingConfig, TuningConfig, flat_names
from docs.generator.markdown import code, page, shown, table

_INTRO = """
Each setting has one record in `boxwright.config`, which the command line, Airflow's trigger form and this page read.
A name here is what `boxwright run --set NAME=VALUE`, `boxwright trigger --set NAME=VALUE` and the form take. Where a
model id has better defaults of its own ([models](models.md)), those replace the defaults here; what a user sets always
wins.
"""
_HEADER = ("name", "values", "default", "meaning")
_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "below {}"),
    ("multipleOf", "a multiple of {}"),
    ("pattern", "as `{}`"),
)


def settings_page() -> str:
    """Every record, with name, values, default and description of each field."""
    flat = {place: name for name, place in flat_names().items()}
    parts = [_INTRO, "## A run", _table(RunConfig, {name: name for name in RunConfig.model_fields}, skip=SECTIONS)]
    for section, record in SECTIONS.items():
        # A section may be known under a name of the run's own, as the dataset `validation` is.
        names = {name: flat[section, name] for name in record.model_fields}
        parts += [f"## {section.replace('_', ' ').capitalize()}", _first_line(record), _table(record, names)]
    names = {name: f"tuning_{name}" for name in TuningConfig.model_fields}
    parts += ["## Tuning", _first_line(TuningConfig), _table(TuningConfig, names)]
    for title, record in (("Serving", ServingConfig), ("Batch inference", BatchInferenceConfig)):
        names = {name: name for name in record.model_fields}
        parts += [f"## {title}", _first_line(record), _table(record, names)]
    return page("Settings", *parts)


def _table(record: type[BaseModel], names: Mapping[str, str], skip: Mapping[str, Any] | None = None) -> str:
    return table(_HEADER, _rows(record, names, skip or {}))


def _rows(record: type[BaseModel], names: Mapping[str, str], skip: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    properties = record.model_json_schema()["properties"]
    for name, field in record.model_fields.items():
        if name not in skip:
            default = "required" if field.is_required() else shown(field.default)
            yield code(names[name]), _values(properties[name]), default, field.description or ""


def _values(schema: Mapping[str, Any]) -> str:
    """What a field takes: its type with bounds, or its choices."""
    chosen = [choice for choice in schema.get("anyOf", (schema,)) if choice.get("type") != "null"]
    return " or ".join(_value(choice) for choice in chosen)


def _value(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(code(choice) for choice in schema["enum"])
    if schema.get("type") == "boolean":
        return "`True`, `False`"
    if schema.get("type") == "object":
        return f"`NAME=VALUE,...`, each {_values(schema['additionalProperties'])}"
    if schema.get("type") == "array":
        return f"`VALUE,...`, each one of {_values(schema['items'])}"
    kind = {"string": "text", "integer": "whole number", "number": "number"}[schema["type"]]
    return ", ".join([kind, *(text.format(schema[key]) for key, text in _BOUNDS if key in schema)])


def _first_line(record: type[BaseModel]) -> str:
    return (record.__doc__ or "").strip().partition("\n")[0]
