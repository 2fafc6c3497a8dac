"""`boxwright sagemaker train | serve`: the two words with which SageMaker starts a container."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from boxwright.cli.options import local_path
from boxwright.sagemaker import PREFIX, Layout, serving_config

app = typer.Typer(no_args_is_help=True, help="Trains and serves as a container of SageMaker does.")

Prefix = Annotated[
    Path, typer.Option(parser=local_path, metavar="FOLDER", help="Folder that stands for /opt/ml, to try it elsewhere.")
]


@app.command()
def train(prefix: Prefix = PREFIX) -> None:
    """Runs a training job: its channels, hyperparameters and checkpoints come from the folder, its model goes there."""
    from boxwright.sagemaker import train as train_job

    signal.signal(signal.SIGTERM, _stop)
    train_job(Layout(prefix))


@app.command()
def serve(prefix: Prefix = PREFIX) -> None:
    """Serves the model of the folder on port 8080, or on SAGEMAKER_BIND_TO_PORT: /ping and /invocations."""
    config = serving_config()
    from boxwright.serving.http import serve as run_server

    def ready(url: str, reference: str) -> None:
        typer.echo(f"serving {reference} on {url}")

    run_server(str(Layout(prefix).model), config, None, ready)


def _stop(number: int, frame: Any) -> None:
    """Ends the process so that what is open is closed: SageMaker kills it two minutes later."""
    raise SystemExit(128 + number)
