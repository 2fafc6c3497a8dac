"""`boxwright tune`: a study of trials without Airflow, its end, and going on with it."""

from __future__ import annotations

import json
import logging
import re
from typing import Annotated, Any

import typer
from rich.console import Console

from boxwright.cli.options import AsJson, described
from boxwright.cli.signals import end_on_sigterm
from boxwright.config import STUDY_NAME, TuningConfig, parse_settings, parse_tuning, tuning_fields
from boxwright.errors import UsageError

log = logging.getLogger("boxwright")
out = Console()
TuningSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any setting of a run by its name in Airflow's trigger form, or of the study, such as epochs=5 or "
        "tuning_sampler=random; may be repeated.",
    ),
]


def tune(
    dataset: Annotated[str | None, typer.Option(help=described("training"))] = None,
    output: Annotated[str | None, typer.Option(help=described("output"))] = None,
    validation: Annotated[str | None, typer.Option(help=described("validation"))] = None,
    test: Annotated[
        str | None, typer.Option(help="Dataset for the proof of the gain, which choosing never sees; required.")
    ] = None,
    annotations_file: Annotated[str | None, typer.Option(help=described("annotations_file"))] = None,
    model_id: Annotated[str | None, typer.Option(help=described("model_id"))] = None,
    model_name: Annotated[str | None, typer.Option(help=described("model_name"))] = None,
    trials: Annotated[int | None, typer.Option(min=1, help=described("trials", TuningConfig))] = None,
    parallel: Annotated[int | None, typer.Option(min=1, help=described("parallel", TuningConfig))] = None,
    ranges: Annotated[str | None, typer.Option(help=described("ranges", TuningConfig))] = None,
    settings: TuningSettings = None,
    study: Annotated[
        str | None, typer.Option(help="Name of the study; one that the same settings have again if unset.")
    ] = None,
    stop: Annotated[
        bool, typer.Option("--stop", help="Let no more trials of --study begin; the best of those there are is chosen.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tunes hyperparameters without Airflow, proves the gain on test images, and registers the model of what won.

    The same command goes on with a study that was stopped or killed, with more --trials too: what is done is not done
    again, and a training goes on after its last whole epoch.
    """
    if study is not None and not re.fullmatch(STUDY_NAME, study):
        raise UsageError(
            f"--study {study!a}: expected a letter or digit, and then at most 99 letters, digits, _, . or -"
        )
    if stop:
        _stop(study)
        return
    options = {
        "training": dataset,
        "output": output,
        "validation": validation,
        "test": test,
        "annotations_file": annotations_file,
        "model_id": model_id,
        "model_name": model_name,
        "tuning_trials": trials,
        "tuning_parallel": parallel,
        "tuning_ranges": ranges,
    }
    given = {name: value for name, value in options.items() if value is not None}
    config, tuning = parse_tuning(given | parse_settings(settings or [], tuning_fields()))

    from boxwright.tuning import tune as work

    end_on_sigterm()
    try:
        result = work(config, tuning, study, on_step=lambda step: log.info("step %s", step))
    except BaseException:
        log.info("the study stopped before its end; the same command goes on with it")
        raise
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _show(result)


def _stop(study: str | None) -> None:
    if study is None:
        raise UsageError("--stop needs --study NAME")
    from boxwright.tuning import stop_study

    stop_study(study)
    line = f"study {study}: no more trials begin; the same command that started it chooses the best"
    out.print(line, soft_wrap=True, markup=False)


def _show(result: dict[str, Any]) -> None:
    done = [one for one in result["trials"] if one["state"] == "complete"]
    out.print(f"study {result['study']}: {len(result['trials'])} trials, {len(done)} to their end", soft_wrap=True)
    out.print(result["proof"]["verdict"], soft_wrap=True, markup=False)
    out.print(f"{result['model_name']} version {result['version']}  AP {result['metrics']['AP']}", soft_wrap=True)
    out.print(f"archive {result['model_archive']}", soft_wrap=True, markup=False)
    out.print(f"settings {result['settings_file']}", soft_wrap=True, markup=False)
    out.print(f"report {result['report']}", soft_wrap=True, markup=False)
