"""`boxwright up`, `down`, `status`, `demo` and `trigger`."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from boxwright.cli.options import AsJson, RunSettings, SettingsFile, described, run_settings
from boxwright.cli.signals import end_on_sigterm
from boxwright.config import Settings
from boxwright.errors import StorageError


def up(
    free_ports: Annotated[
        bool, typer.Option("--free-ports", help="Use free ports instead of the configured ones.")
    ] = False,
    cluster: Annotated[
        bool,
        typer.Option(
            "--cluster",
            help="Stand for several machines: PostgreSQL for all, Redis, and two Celery workers with homes of their "
            "own; in a home that has no other stack.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Starts S3, MLflow and Airflow on this machine and keeps them running; what runs well is left alone."""
    from boxwright.stack import manager, notice, place_sample, progress, stack_variables

    settings, errors = Settings.from_environment(), Console(stderr=True)
    stack, _ = manager.up(settings, free_ports=free_ports, several=cluster, on_ready=progress.ready_line(errors))
    say = partial(errors.print, soft_wrap=True, markup=False)
    sample = place_sample(settings, stack, lambda uri: say(f"uploading a sample to {uri}"))
    if as_json:
        typer.echo(json.dumps(progress.addresses(stack)))
    else:
        progress.show_addresses(Console(), stack)
    say(f"a dataset to begin with: {sample}/training")
    with stack_variables(stack):
        _examine(errors)
    if line := notice(stack.folder):
        say(line)


def _examine(errors: Console) -> None:
    """Looks at what runs in this environment need, and shows what is not well."""
    from boxwright.cli.doctor import findings, show

    found = findings(Settings.from_environment())
    bad = [one for one in found if one.verdict in ("wrong", "doubtful")]
    show(errors, bad)
    errors.print(f"boxwright doctor: {len(found)} checks, {len(bad) or 'nothing'} to mend", soft_wrap=True)


def down() -> None:
    """Stops the services that `up` started, and whatever they run; their data is kept."""
    from boxwright.stack import manager

    stopped = manager.down(Settings.from_environment())
    Console().print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


def status(
    as_json: AsJson = False,
) -> None:
    """Shows what one can expect of each service of the local stack; exit code 4 unless all are ready."""
    from boxwright.stack import manager, progress

    states = manager.status(Settings.from_environment())
    ready = all(state.ready for state in states)
    if as_json:
        typer.echo(json.dumps({"ready": ready, "services": [state.facts() for state in states]}))
    else:
        Console().print(progress.states(states), soft_wrap=True)
        for line in progress.last_lines(states):
            typer.echo(line)
        typer.echo(f"logs are in {states[0].log.parent}")
    if not ready:
        raise typer.Exit(StorageError.exit_code)


def demo(
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Folder or s3:// prefix of a dataset, or of a folder whose sub-folders are its splits; if unset, "
            "a generated sample."
        ),
    ] = None,
    images: Annotated[
        int | None, typer.Option(min=10, help="Number of images of the sample, in all splits together.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the training images.")] = None,
    model_id: Annotated[str | None, typer.Option(help=described("model_id"))] = None,
    cluster: Annotated[bool, typer.Option("--cluster", help="In a stack that stands for several machines.")] = False,
    as_json: AsJson = False,
) -> None:
    """Trains a detector end to end in Airflow: starts the stack, runs the DAG, shows the result, stops the stack."""
    from boxwright.stack import demo as demo_module
    from boxwright.stack import progress

    end_on_sigterm()  # as Ctrl-C does: what was started is stopped
    console = Console(stderr=as_json)
    size = images or demo_module.IMAGES
    result = demo_module.run_demo(Settings.from_environment(), console, dataset, size, epochs, model_id, cluster)
    if as_json:
        shown = {"version": result.version, "picture": str(result.picture), **result.facts.model_dump(mode="json")}
        typer.echo(json.dumps(shown))
        return
    facts, ap50 = result.facts, {name: one.AP50 for name, one in result.facts.per_class.items()}
    console.print(progress.metrics(f"{facts.model_name} version {result.version}", facts.split, facts.metrics, ap50))
    console.print(f"test images with predicted boxes: {result.picture}", soft_wrap=True, markup=False)


def trigger(
    dataset: Annotated[
        str | None, typer.Option(help="Training dataset; if unset, the Airflow Variable boxwright_training_uri.")
    ] = None,
    validation: Annotated[str | None, typer.Option(help=described("validation"))] = None,
    test: Annotated[str | None, typer.Option(help=described("test"))] = None,
    annotations_file: Annotated[str | None, typer.Option(help=described("annotations_file"))] = None,
    model_id: Annotated[str | None, typer.Option(help=described("model_id"))] = None,
    model_name: Annotated[str | None, typer.Option(help=described("model_name"))] = None,
    settings: RunSettings = None,
    settings_file: SettingsFile = None,
    run_id: Annotated[str | None, typer.Option(help="Id of the run; if unset, a new one.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the run until it ends; the exit code is that of its result.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Starts a run of the training DAG: locally, or in the Airflow of BOXWRIGHT_AIRFLOW_URL, _USER and _PASSWORD."""
    from boxwright.airflow_api import trigger as work
    from boxwright.stack import connect, outcome, progress, require_room

    options = {
        "training": dataset,
        "validation": validation,
        "test": test,
        "annotations_file": annotations_file,
        "model_id": model_id,
        "model_name": model_name,
    }
    given = {name: value for name, value in options.items() if value}
    params = given | run_settings(settings, settings_file)
    client = connect(Settings.from_environment())
    require_room(client, params)
    result = {"run_id": work.start(client, params, run_id), "status": "queued"}
    errors = Console(stderr=True)
    if work.is_paused(client):
        errors.print("the DAG is paused: the run starts when it is unpaused", soft_wrap=True)
    if wait:
        run, lines = result["run_id"], progress.LastLines(client, result["run_id"])
        state, tasks = progress.show_run(errors, run, work.follow(client, run), lines)
        result = outcome(client, result["run_id"], state, tasks)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        line = "  ".join(f"{name} {value}" for name, value in result.items())
        Console().print(line, soft_wrap=True, markup=False)
