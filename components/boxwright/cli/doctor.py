"""`boxwright doctor`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from boxwright.cli.options import AsJson
from boxwright.config import Settings
from boxwright.errors import StorageError

if TYPE_CHECKING:
    from boxwright.doctor import Finding

_COLOURS = {"well": "green", "doubtful": "yellow", "wrong": "bold red", "skipped": "dim"}


def doctor(
    uri: Annotated[
        list[str] | None, typer.Option(help="An s3:// prefix that runs write to; may be given more than once.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Checks what runs need of this machine and of the servers that it knows; says what is wrong and what mends it.

    It uses the environment that it is started in, so start it as a worker, scheduler or server is; in the local stack,
    with its variables. It writes and removes one small object at each s3:// prefix, and changes nothing else. The exit
    code is 4 if something is wrong.
    """
    found = findings(Settings.from_environment(), tuple(uri or ()))
    bad = any(one.verdict == "wrong" for one in found)
    if as_json:
        typer.echo(json.dumps({"well": not bad, "findings": [one.facts() for one in found]}))
    else:
        show(Console(), found)
    if bad:
        raise typer.Exit(StorageError.exit_code)


def findings(settings: Settings, uris: tuple[str, ...] = ()) -> list[Finding]:
    """The findings of a look at everything."""
    from boxwright.doctor import examine
    from boxwright.stack import find_airflow

    return list(examine(settings, lambda: find_airflow(settings), uris))


def show(console: Console, found: Sequence[Finding]) -> None:
    """Prints a line for each finding, and what to do below it."""
    for one in found:
        colour = _COLOURS[one.verdict]
        console.print(
            f"[{colour}]{one.verdict:8}[/{colour}]  {escape(one.subject)}: {escape(one.said)}", soft_wrap=True
        )
        if one.mend:
            console.print(f"          -> {escape(one.mend)}", soft_wrap=True)
