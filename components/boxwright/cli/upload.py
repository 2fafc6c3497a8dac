"""`boxwright upload`: a dataset of this machine brought into a bucket."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from boxwright.cli.options import AsJson
from boxwright.cli.progress import shown
from boxwright.config import Settings
from boxwright.errors import UsageError
from boxwright.storage import local_path

_NAMED = 5
out = Console()


def upload(
    folder: Annotated[
        Path,
        typer.Argument(
            parser=local_path, metavar="FOLDER", help="Folder with images/ and annotations.json, or with its splits."
        ),
    ],
    uri: Annotated[
        str | None,
        typer.Argument(metavar="[URI]", help="s3:// prefix; unset: datasets/ in the local stack's bucket."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Uploads a dataset, verified; the same command goes on where it was stopped. Hidden files stay behind."""
    from boxwright.stack import default_uri, files_of, reaching, upload_dataset

    target = (uri or default_uri(folder)).rstrip("/")
    if not target.startswith("s3://"):
        raise UsageError(f"{target}: expected an s3:// prefix; on this machine a folder is used where it lies")
    with reaching(target, Settings.from_environment()), shown("files") as tell:
        stats = upload_dataset(folder, target, tell)
    hidden = files_of(folder)[1]
    if as_json:
        typer.echo(json.dumps({"uri": target, **asdict(stats), "hidden": hidden}))
        return
    out.print(f"{target}: {stats.sent} files sent, {stats.there} were there", soft_wrap=True, markup=False)
    _name(hidden, "hidden files stayed behind; give those of the dataset names without a dot")
    _name(stats.others, f"files are there that {folder} does not have; remove them, or upload to a new prefix")


def _name(files: Sequence[str], what: str) -> None:
    if files:
        named = ", ".join(files[:_NAMED]) + (", ..." if len(files) > _NAMED else "")
        out.print(f"{len(files)} {what}: {named}", soft_wrap=True, markup=False)
