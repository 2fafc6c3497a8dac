"""The page of all commands, from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from boxwright.cli.app import app
from docs.generator.markdown import code, page, shown, table

_INTRO = """
`boxwright COMMAND --help` says the same at a terminal. Results go to stdout, progress and errors to stderr;
[errors and exit codes](errors.md) has what a command ends with. `NAME=VALUE` takes the names of
[the settings](settings.md).
"""


def commands_page() -> str:
    """Every command with its arguments and options."""
    root: Any = typer.main.get_command(app)
    return page("Commands", _INTRO, *_parts(root, "boxwright"))


def _parts(group: Any, name: str) -> Iterator[str]:
    for word, command in group.commands.items():
        full = f"{name} {word}"
        if hasattr(command, "commands"):
            yield from _parts(command, full)
            continue
        yield f"## {full}"
        yield _plain(command.help or "")
        yield f"```\n{' '.join([full, *_usage(command)])}\n```"
        if rows := [_row(parameter) for parameter in command.params]:
            yield table(("argument or option", "default", "meaning"), rows)


def _usage(command: Any) -> Iterator[str]:
    """The words of a usage line: what has to be given, and whether there is more."""
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = _argument(parameter)
            yield name if parameter.required else f"[{name}]"
        elif parameter.required:
            yield f"{parameter.opts[0]} VALUE"
    if any(parameter.param_type_name == "option" and not parameter.required for parameter in command.params):
        yield "[OPTIONS]"


def _row(parameter: Any) -> tuple[str, str, str]:
    if parameter.param_type_name == "argument":
        name = code(_argument(parameter))
    else:
        value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
        name = ", ".join(code(f"{option}{value}") for option in parameter.opts)
    default = "required" if parameter.required else "" if parameter.default is False else shown(parameter.default)
    return name, default, _plain(parameter.help or "") + _bounds(parameter)


def _argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _bounds(parameter: Any) -> str:
    bounds = [f"at least {parameter.min}"] if parameter.min is not None else []
    bounds += [f"at most {parameter.max}"] if parameter.max is not None else []
    return f" ({', '.join(bounds)})" if bounds else ""


def _plain(text: str) -> str:
    """Help without what keeps rich from reading its brackets as markup."""
    return " ".join(text.replace("\\[", "[").split())
