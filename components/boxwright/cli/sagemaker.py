"""`boxwright sagemaker train | serve`: the two words with which SageMaker starts a container."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxwright.cli.serving import serve_until_stopped
from boxwright.cli.signals import end_on_sigterm
from boxwright.sagemaker import PREFIX, Layout, serving_config
from boxwright.storage import local_path

app = typer.Typer(no_args_is_help=True, help="Trains and serves as a container of SageMaker does.")

Prefix = Annotated[
    Path, typer.Option(parser=local_path, metavar="FOLDER", help="Folder that stands for /opt/ml, to try it elsewhere.")
]


@app.command()
def train(prefix: Prefix = PREFIX) -> None:
    """Runs a training job: its channels, hyperparameters and checkpoints come from the folder, its model goes there."""
    from boxwright.sagemaker import train as train_job

    end_on_sigterm()  # SageMaker kills what has not ended two minutes later
    train_job(Layout(prefix))


@app.command()
def serve(prefix: Prefix = PREFIX) -> None:
    """Serves the model of the folder on port 8080, or on SAGEMAKER_BIND_TO_PORT: /ping and /invocations."""
    serve_until_stopped(str(Layout(prefix).model), serving_config(), None)
