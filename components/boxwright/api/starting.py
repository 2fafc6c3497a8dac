"""Starts trainings: on this machine, or through Airflow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from boxwright.api.arguments import kind_of, name_of
from boxwright.api.run import Run
from boxwright.config import Hyperparameters, RunConfig, Settings, nest_settings, parse_config
from boxwright.errors import UsageError, did_you_mean

Where = Literal["local", "airflow"]


def train(
    dataset: str | Path,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    *,
    model_id: str | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    where: Where = "local",
    wait: bool = True,
    run_id: str | None = None,
    **settings: Any,
) -> Run:
    """Starts a training: validation of the data, fine-tuning, evaluation, gate and registration.

    Args:
        dataset: folder or s3:// prefix with images/ and the annotations file: the training images.
        validation: dataset for validation while training; a share of the training images if unset.
        test: dataset for the final metrics; the validation dataset if unset.
        model_id: architecture; `boxwright.models()` lists the ids.
        hyperparameters: by name; `boxwright.hyperparameters()` gives the defaults.
        output: folder or s3:// prefix for the results; `results` in the home if unset, or Airflow's own default.
        where: `local` for a process of this machine; `airflow` for the Airflow of `BOXWRIGHT_AIRFLOW_URL`, else that of
            the local stack, which takes no path that it cannot see.
        wait: whether to show the run until it has ended.
        run_id: its name; one of the present time if unset.
        **settings: any other setting of a run, as `gate_min_ap=0.3` or `model_name="cells"`.

    Raises:
        UsageError: a setting is unknown or wrong; nothing was started.
        BoxwrightError: with `wait`, the run failed, with the error of its kind.
    """
    if where not in get_args(Where):
        raise UsageError(f"where={where!r}; expected one of {', '.join(get_args(Where))}")
    arguments = {"training": dataset, "validation": validation, "test": test, "model_id": model_id, "output": output}
    values = _settings(arguments, hyperparameters, settings)
    name = name_of(run_id, "run_id")
    run = _start_local(values, name) if where == "local" else _start_in_airflow(values, name)
    return run.wait() if wait else run


def resume(run_id: str | None = None, *, wait: bool = True) -> Run:
    """Goes on with a run of this machine that was stopped, killed or failed: what is done is not done again.

    Args:
        run_id: the run; the last one that has not come to its end if unset.
        wait: whether to show the run until it has ended.

    Raises:
        UsageError: there is no such run, or another process is at it.
        BoxwrightError: with `wait`, the run failed.
    """
    from boxwright.api.local_run import LocalProcess
    from boxwright.pipeline import find_run

    run = LocalProcess(find_run(name_of(run_id, "run_id")))
    return run.wait() if wait else run


def _settings(
    arguments: Mapping[str, Any], hyperparameters: Mapping[str, Any] | None, others: Mapping[str, Any]
) -> dict[str, Any]:
    """All that was set, by the settings' names.

    Raises:
        UsageError: a name is not a hyperparameter's, or is given twice.
    """
    if not isinstance(hyperparameters, Mapping | None):
        got = kind_of(hyperparameters)
        raise UsageError(f"hyperparameters: expected a dict of values by name, as {{'epochs': 20}}, got {got}")
    chosen = dict(hyperparameters or {})
    for name in chosen:
        if name not in (known := Hyperparameters.model_fields):
            near = did_you_mean(str(name), known)
            raise UsageError(f"{name} is not a hyperparameter{near}; other settings are arguments of their own")
    given = {name: value for name, value in arguments.items() if value is not None}
    if twice := sorted(others.keys() & (given.keys() | chosen.keys())):
        raise UsageError(f"{', '.join(twice)}: given twice; leave out one of the two")
    values = given | chosen | dict(others)
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _start_local(values: dict[str, Any], run_id: str | None) -> Run:
    from boxwright.api.local_run import LocalProcess
    from boxwright.model import model_spec
    from boxwright.pipeline import start_run

    values.setdefault("output", str(Settings.from_environment().home / "results"))
    config = parse_config(nest_settings(values))
    model_spec(config.model_id)  # a run that cannot begin should not be offered to `resume`
    return LocalProcess(start_run(config, run_id))


def _start_in_airflow(values: dict[str, Any], run_id: str | None) -> Run:
    from boxwright.airflow_api import trigger
    from boxwright.api.airflow_run import AirflowRun
    from boxwright.stack import connect

    nest_settings(values)  # names are checked here, values by Airflow's form
    client = connect(Settings.from_environment())
    model_name = values.get("model_name", RunConfig.model_fields["model_name"].default)
    return AirflowRun(client, trigger.start(client, values, run_id), model_name)
