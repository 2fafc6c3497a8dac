"""Options that several commands share, and their texts, which come from the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.markup import escape

from boxwright.config import RunConfig, ServingConfig, parse_settings, parse_settings_file, run_fields
from boxwright.errors import UsageError
from boxwright.storage import local_path


def described(field: str, model: type[BaseModel] = RunConfig) -> str:
    """A field's description as an option's help, where brackets are text and not markup."""
    return escape(model.model_fields[field].description or "")


Report = Annotated[
    Path | None,
    typer.Option(
        parser=local_path, metavar="FOLDER", help="Folder of this machine for the report, its page and its pictures."
    ),
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        parser=local_path, metavar="FOLDER", help="Images that int8 is calibrated on, 100 of those that it will see."
    ),
]
Trust = Annotated[bool, typer.Option("--trust-saved-model", help=described("trust_saved_model", ServingConfig))]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ModelArgument = Annotated[
    str | None,
    typer.Argument(metavar="MODEL", help="models:/NAME/VERSION, models:/NAME@ALIAS, a model.tar.gz or its folder."),
]
ModelOption = Annotated[str | None, typer.Option("--model", metavar="MODEL", help="The same as the argument.")]
RunSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any setting of a run by its name in Airflow's trigger form, such as epochs=5 or gate_min_ap=0.3; "
        "may be repeated.",
    ),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        parser=local_path,
        metavar="FILE",
        help="JSON object of settings of a run by name, such as `boxwright tune` writes; --set goes before it.",
    ),
]


def run_settings(settings: list[str] | None, file: Path | None) -> dict[str, Any]:
    """Settings of a run by flat name, of `--settings` and of `--set`, which goes before it.

    Raises:
        UsageError: the file cannot be read, or naming every unknown name and invalid value.
    """
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = parse_settings_file(file.read_bytes(), str(file), run_fields())
        except OSError as error:
            raise UsageError(f"--settings {file}: {error.strerror}") from None
    return values | parse_settings(settings or [], run_fields())


def one_model(argument: str | None, option: str | None, default: str | None = None) -> str:
    """The model that a command is about: every command takes it as its argument or as `--model`.

    Raises:
        UsageError: neither names one, or both do.
    """
    if argument is not None and option is not None:
        raise UsageError(f"the argument {argument} and --model {option}: expected one of them")
    named = option if argument is None else argument
    named = default if named is None else named
    if named is None:
        raise UsageError("expected a model, as the argument or as --model: `boxwright registry list` names them")
    return named
