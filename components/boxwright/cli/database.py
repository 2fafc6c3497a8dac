"""`boxwright db init`."""

from __future__ import annotations

import json

import typer
from rich.console import Console

from boxwright.cli.options import AsJson
from boxwright.config import Settings

app = typer.Typer(no_args_is_help=True, help="The database of ML Metadata.")


@app.command()
def init(as_json: AsJson = False) -> None:
    """Makes ML Metadata's database and tables at BOXWRIGHT_METADATA_URI, and registers all types of the pipeline.

    What is there already stays, and any number of machines may do it at once. A new version of Boxwright does it once
    before its workers start; a worker that finds something missing does it, too, if its log-in may.
    """
    from boxwright.pipeline import prepare_metadata

    settings = Settings.from_environment()
    prepare_metadata(settings)
    if as_json:
        typer.echo(json.dumps({"address": str(settings.metadata), "ready": True}))
    else:
        Console().print(f"ML Metadata is ready at {settings.metadata}", soft_wrap=True, markup=False)
