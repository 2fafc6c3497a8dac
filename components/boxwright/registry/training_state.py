"""The state of a run's training in its MLflow run: begun, under way, ended, and asked to stop.

Two tags hold it. A killed process cannot say that it ended: a training that has given no sign for a while is found by
the next one of the same model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from boxwright.registry.mlflow_client import FAILED, FINISHED, KILLED, RUNNING, Metric, MlflowClient, MlflowRun
from boxwright.registry.port import RUN_ID, USAGE, TrainingState
from boxwright.registry.tracking import PARENT_RUN

# A training gives a sign each half minute, but not while AP is measured on many images.
SECONDS_OF_SILENCE = 15 * 60
_STATE, _STOP = "boxwright.training", "boxwright.stop"
_MACHINE = "machine/"
_ASKED = "asked"
_STATUS = {TrainingState.KILLED: KILLED, TrainingState.FAILED: FAILED}


def begin(client: MlflowClient, run: MlflowRun, parameters: Mapping[str, str]) -> None:
    """Notes that a training begins, or goes on; the request that stopped it before is answered."""
    tags = {} if run.status == RUNNING else {_STOP: ""}
    missing = {name: value for name, value in parameters.items() if name not in run.params}
    _write(client, run, TrainingState.RUNNING, {}, missing, tags)
    # The run of a model that is registered stays as it ended, whatever is done again.
    if run.status not in (RUNNING, FINISHED):
        client.reopen_run(run.run_id)


def note(client: MlflowClient, run: MlflowRun, progress: Mapping[str, Any]) -> None:
    """Notes where a training stands, and what it takes of its machine as a point of each of those curves."""
    now = time.time_ns() // 1_000_000
    seconds = max(0, now - run.started) // 1000
    values = {name: float(value) for name in USAGE if (value := progress.get(name)) is not None}
    points = [Metric(f"{_MACHINE}{name}", value, now, seconds) for name, value in values.items()]
    _write(client, run, TrainingState.RUNNING, progress, points=points)


def read_usage(client: MlflowClient, run: MlflowRun) -> dict[str, list[tuple[int, float]]]:
    """The curves that `note` wrote: (seconds since the run began, value) by the names of `USAGE`."""
    names = [name for name in USAGE if f"{_MACHINE}{name}" in run.metrics]
    return {name: sorted(client.metric_history(run.run_id, f"{_MACHINE}{name}")) for name in names}


def end(client: MlflowClient, run: MlflowRun, state: TrainingState) -> None:
    """Notes how a training ended.

    The run of one that ended well goes on until its model is registered; that of a trial has no model. A request to
    stop it is answered then: it is not one to what the run does next.
    """
    _write(client, run, state, {}, tags={_STOP: ""} if state is TrainingState.TRAINED else None)
    status = FINISHED if state is TrainingState.TRAINED and PARENT_RUN in run.tags else _STATUS.get(state)
    if status is not None and run.status != FINISHED:
        client.end_run(run.run_id, status)


def read(run: MlflowRun) -> dict[str, Any]:
    """The last note, with `state` and `at`, in seconds since 1970; empty where nothing was."""
    try:
        found = json.loads(run.tags.get(_STATE) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_silent(state: Mapping[str, Any], now: float) -> bool:
    """Whether a training has been silent for so long that it counts as dead; also where its state is unknown.

    Args:
        state: of `read`.
        now: seconds since 1970. A sign from the future, of a machine whose clock is ahead, is not silence.
    """
    at = state.get("at", 0.0)
    return not isinstance(at, int | float) or at < now - SECONDS_OF_SILENCE


def bury(client: MlflowClient, experiment_id: str, run_id: str) -> list[str]:
    """Ends the runs of an experiment whose training has died without a word, but for `run_id`; returns their ids."""
    dead = []
    for run in client.runs(experiment_id, f"attributes.status = '{RUNNING}'"):
        state = read(run)
        if state.get("state") != TrainingState.RUNNING or run.tags.get(RUN_ID) == run_id:
            continue
        if is_silent(state, time.time()):
            end(client, run, TrainingState.KILLED)
            dead.append(run.tags.get(RUN_ID, run.run_id))
    return dead


def ask_to_stop(client: MlflowClient, run: MlflowRun) -> None:
    """Asks the training to end after the epoch that is under way."""
    client.log(run.run_id, tags={_STOP: _ASKED})


def is_asked_to_stop(run: MlflowRun) -> bool:
    """Whether somebody has."""
    return run.tags.get(_STOP) == _ASKED


def _write(
    client: MlflowClient,
    run: MlflowRun,
    state: TrainingState,
    progress: Mapping[str, Any],
    parameters: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    points: Sequence[Metric] = (),
) -> None:
    text = json.dumps({**progress, "state": state.value, "at": time.time()})
    client.log(run.run_id, points, params=parameters, tags={**(tags or {}), _STATE: text})
