"""`boxwright run` and `boxwright stop`: the whole training pipeline without Airflow, its end, and going on with it."""

from __future__ import annotations

import json
import logging
from typing import Annotated, Any

import typer
from rich.console import Console

from boxwright.cli.options import AsJson, RunSettings, SettingsFile, described, run_settings
from boxwright.cli.signals import end_on_sigterm
from boxwright.config import Hyperparameters, RunConfig, nest_settings, parse_config
from boxwright.errors import GateError, UsageError

log = logging.getLogger("boxwright")
out = Console()


def run(
    stopped: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="With --resume: the run; unset: the last one that stopped.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help=described("training"))] = None,
    output: Annotated[str | None, typer.Option(help=described("output"))] = None,
    validation: Annotated[str | None, typer.Option(help=described("validation"))] = None,
    test: Annotated[str | None, typer.Option(help=described("test"))] = None,
    annotations_file: Annotated[str | None, typer.Option(help=described("annotations_file"))] = None,
    model_id: Annotated[str | None, typer.Option(help=described("model_id"))] = None,
    model_name: Annotated[str | None, typer.Option(help=described("model_name"))] = None,
    seed_mode: Annotated[str | None, typer.Option(help=described("seed_mode"))] = None,
    parent: Annotated[str | None, typer.Option(help=described("parent"))] = None,
    on_class_change: Annotated[str | None, typer.Option(help=described("on_class_change"))] = None,
    seeds: Annotated[int | None, typer.Option(help=described("seeds", Hyperparameters))] = None,
    force: Annotated[bool, typer.Option("--force", help=described("force"))] = False,
    weights_uri: Annotated[str | None, typer.Option(help=described("weights_uri"))] = None,
    settings: RunSettings = None,
    settings_file: SettingsFile = None,
    run_id: Annotated[str | None, typer.Option(help="Name of the run; one of the present time if unset.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that stopped, with the settings that it began with.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Runs the whole training pipeline without Airflow, from validation to registration.

    A run that was stopped, killed or failed goes on with --resume: steps that are done are not done again, and the
    training goes on after its last whole epoch.
    """
    options = {
        "training": dataset,
        "validation": validation,
        "test": test,
        "annotations_file": annotations_file,
        "output": output,
        "model_id": model_id,
        "model_name": model_name,
        "seed_mode": seed_mode,
        "parent": parent,
        "on_class_change": on_class_change,
        "seeds": seeds,
        "force": force or None,
        "weights_uri": weights_uri,
    }
    if not resume and stopped:
        raise UsageError(f"expected options, got {stopped!a}; a run that stopped goes on with `--resume {stopped}`")
    _check_alone(resume, options | {"settings": settings, "settings_file": settings_file, "run_id": run_id})

    from boxwright.model import model_spec
    from boxwright.pipeline import find_run, run_pipeline, running, start_run

    if resume:
        local = find_run(stopped)
    else:
        config = parse_config(nest_settings(options | run_settings(settings, settings_file)))
        model_spec(config.model_id)  # a run that cannot begin should not be offered to --resume
        local = start_run(config, run_id)
    name = local.run.run_id
    log.info("run %s; if it is killed, `boxwright run --resume %s` goes on with it", name, name)
    end_on_sigterm()
    with running(local):
        try:
            result = run_pipeline(local.config, local.run, on_step=lambda node_id: log.info("step %s", node_id))
        except GateError:
            raise
        except BaseException:
            log.info("run %s stopped before its end; `boxwright run --resume %s` goes on with it", name, name)
            raise
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _show_result(result)


def stop(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, of `boxwright run` or of Airflow.")],
    model_name: Annotated[str, typer.Option(help=described("model_name"))] = RunConfig.model_fields[
        "model_name"
    ].default,
) -> None:
    """Asks a training to end after the epoch that is under way, with all that it has learnt kept.

    `boxwright run --resume RUN` goes on with it, or in Airflow "Go on from this step" on the page of the run. Of a run
    that tunes, no more trials begin: those under way come to their end, and the best is chosen.
    """
    from boxwright.registry import open_registry

    registry = open_registry()
    try:
        registry.ask_to_stop(model_name, run_id)
    except UsageError as error:
        raise UsageError(f"{error}; of a run that trains another model, give its --model-name") from None
    study = registry.training_progress(model_name, run_id).get("study")
    said = (
        f"run {run_id}: no more trials of the study {study} begin, and the best of those there are is chosen"
        if study
        else f"run {run_id} ends after the epoch that is under way"
    )
    out.print(said, soft_wrap=True, markup=False)


def _check_alone(resume: bool, options: dict[str, Any]) -> None:
    """Refuses settings beside --resume: a run keeps those that it began with."""
    words = {"settings": "--set", "settings_file": "--settings", "training": "--dataset"}
    given = [words.get(name, f"--{name.replace('_', '-')}") for name, value in options.items() if value]
    if resume and given:
        raise UsageError(
            f"--resume keeps the settings that the run began with: leave out {', '.join(given)}, or start a new run"
        )


def _show_result(result: dict[str, Any]) -> None:
    from boxwright.evaluation import FORMATS_PAGE
    from boxwright.stack import metrics

    ap50 = {name: one["AP50"] for name, one in result["per_class"].items()}
    out.print(metrics(f"{result['model_name']} version {result['version']}", result["split"], result["metrics"], ap50))
    if result["status"] == "reused":
        out.print("reused from an earlier run of the same dataset, model settings, start and code; --force trains anew")
    out.print(f"archive {result['model_archive']}", soft_wrap=True, markup=False)
    if result["formats"]:
        page = f"{result['model_archive'].rpartition('/')[0]}/{FORMATS_PAGE}"
        out.print(f"formats {', '.join(result['formats'])}: {page}", soft_wrap=True, markup=False)
