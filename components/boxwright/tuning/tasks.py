"""The steps of a tuning as tasks that any worker may run, and repeat: open, a trial, choose."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from boxwright.config import TUNED_FILE, TUNING_URI, RunConfig, RunInfo, Settings, TuningConfig, Value
from boxwright.dataset.examples import ExamplesSummary
from boxwright.errors import BoxwrightError, StorageError, TrainingError, UsageError
from boxwright.model import read_seed
from boxwright.pipeline import Phase, nodes_of, output_folder
from boxwright.tuning.database import database_errors
from boxwright.tuning.outcome import publish_outcome, show, trace_outcome
from boxwright.tuning.proof import run_proof
from boxwright.tuning.records import StudyRecord, TrialState
from boxwright.tuning.space import tuned
from boxwright.tuning.study import Study
from boxwright.tuning.trial import parameters_of, run_of_study, run_of_trial, run_trial, sign_of, study_folder
from boxwright.tuning.trials import begun, ended_or_stopped, reasons, told
from boxwright.tuning.tune import prepared

log = logging.getLogger("boxwright.tuning")


@database_errors()
def open_study(config: RunConfig, tuning: TuningConfig, run: RunInfo, name: str) -> list[int]:
    """Opens a study, or one that is there again, and returns the slots that its trials are run in.

    Args:
        config: the run, with the dates in its URIs filled in.
        tuning: how it is tuned.
        run: has run the data steps.
        name: of the study.

    Raises:
        UsageError: there are no test images, the study has other settings, data or another start, or it would be in a
            file that other workers do not have.
    """
    _require_shared_studies()
    study = Study(name, prepared(config, tuning), tuning)
    record = _record(config, tuning, run, name)
    dataset = ExamplesSummary.read(record.examples or "").fingerprint
    study.begin_from({"dataset": dataset, "start": read_seed(Path(record.seed or "")).origin})
    study.resume()
    run_of_study(config, run).progress(sign_of(name))
    _show_so_far(config, run, study)
    return list(range(tuning.trials))


@database_errors()
def run_slot(config: RunConfig, tuning: TuningConfig, run: RunInfo, name: str, slot: int) -> dict[str, Any]:
    """Asks for a trial when it begins, and runs it; the same slot goes on with the same trial.

    Args:
        config: the run, with the dates in its URIs filled in.
        tuning: how it is tuned.
        run: has run the data steps.
        name: of the study.
        slot: of `open_study`.

    Returns:
        The trial as JSON values; what there was no trial for has a `reason` alone.

    Raises:
        TrainingError: the trial crashed.
        BoxwrightError: see `run_trial`.
    """
    record = _record(config, tuning, run, name)
    study = Study(name, record.config, tuning)
    slot_name = f"{run.run_id}/{slot}"
    number = study.number_of(slot_name)
    if number is None:
        if ended := ended_or_stopped(study, _training_images(record), run_of_study(config, run).should_stop):
            return _none_begins(ended)
        number = study.ask(slot_name)
    if number is None:
        return _none_begins("all combinations of the grid")
    log.info("%s", begun(study, number))
    if study.trials()[number].state is TrialState.RUNNING:  # and not told of before its task was killed
        run_trial(record, number, run_of_trial(config, run, number).should_stop)
        _show_so_far(config, run, study)
    log.info("%s", told(study, number))
    trial = study.trials()[number]
    if trial.state is TrialState.FAILED:
        raise TrainingError(f"trial {number} failed: {trial.reason}")
    return trial.model_dump(mode="json")


def _none_begins(reason: str) -> dict[str, Any]:
    log.info("no trial begins here: %s", reason)
    return {"reason": reason}


@database_errors()
def choose_best(config: RunConfig, tuning: TuningConfig, run: RunInfo, name: str) -> dict[str, Any]:
    """Accounts for every trial, proves the best, and publishes report and settings. What a run chose once it keeps.

    Args:
        config: the run, with the dates in its URIs filled in.
        tuning: how it is tuned.
        run: has run the data steps.
        name: of the study.

    Returns:
        `chosen`, the hyperparameters of the final model, and the `verdict`.

    Raises:
        TrainingError: trials failed three times in the same way, or none came to its end.
    """
    record = _record(config, tuning, run, name)
    study, folder = Study(name, record.config, tuning), study_folder(name)
    settings, verdict = _chosen_before(run), "the run keeps what it chose before"
    if settings is None:
        with run_of_study(config, run).under_way(parameters_of(tuning)):
            ended = _account(config, run, study, record)
        record.write(folder)
        proof = run_proof(study, record, folder)
        show(study, folder, ended, proof)
        publish_outcome(config, run, folder, proof.settings)
        settings, verdict = proof.settings, proof.verdict
    log.info("%s", verdict)
    chosen = {"study": name, "chosen": settings, "verdict": verdict}
    trace_outcome(tuned(config, settings), of_study(run, chosen), study)
    return chosen


def _account(config: RunConfig, run: RunInfo, study: Study, record: StudyRecord) -> str | None:
    """Lets no trial stay under way, and shows what there is; returns why no more were begun.

    Raises:
        TrainingError: trials failed three times in the same way, or none came to its end.
    """
    for one in study.trials():
        if one.state is TrialState.RUNNING:
            study.fail(one.number, "abandoned", "its task ended before the trial did")
            run_of_trial(config, run, one.number).was_killed()
    ended = study.ended(_training_images(record))
    _show_so_far(config, run, study, ended)
    if study.has_failed or not study.ranked():
        raise TrainingError(f"the study {study.name} has no result: {ended or reasons(study.trials())}")
    return ended


def _chosen_before(run: RunInfo) -> dict[str, Value] | None:
    """The settings that the run has chosen already, since its model may have been made of them; None before."""
    try:
        return dict(json.loads((output_folder(run, nodes_of(Phase.STUDY)[-1].id) / TUNED_FILE).read_text()))
    except StorageError:
        return None


def _show_so_far(config: RunConfig, run: RunInfo, study: Study, ended: str | None = None) -> None:
    """Leaves the report of a study that is under way, or has failed; no task fails for it."""
    folder = study_folder(study.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        show(study, folder, ended)
        publish_outcome(config, run, folder)
    except (BoxwrightError, OSError) as error:
        log.warning("the report of the study is not up to date: %s", error)


def _require_shared_studies() -> None:
    """Refuses studies in a file of this machine's, where steps are shared among several.

    Raises:
        UsageError: saying what to set.
    """
    settings = Settings.from_environment()
    if settings.metadata.is_shared and TUNING_URI not in os.environ:
        raise UsageError(
            f"ML Metadata is shared by workers, and studies would be in {settings.home} of this one alone: set "
            f"{TUNING_URI} on all workers to a database that they share, such as postgresql://..."
        )


def of_study(run: RunInfo, chosen: dict[str, Any]) -> RunInfo:
    """The run with what `choose_best` returned, for the tags of its version."""
    return run.model_copy(update={"study": chosen["study"], "tuned": json.dumps(chosen["chosen"])})


def _record(config: RunConfig, tuning: TuningConfig, run: RunInfo, name: str) -> StudyRecord:
    """What a trial needs to know, from what the run's data steps have left."""
    for node in nodes_of(Phase.SEED):
        try:
            seed = output_folder(run, node.id)
        except StorageError:
            continue  # the other one ran
        examples = output_folder(run, nodes_of(Phase.DATA)[-1].id)
        return StudyRecord(
            name=name,
            run=run,
            config=prepared(config, tuning),
            tuning=tuning,
            examples=str(examples),
            seed=str(seed),
        )
    raise StorageError(f"run {run.run_id} has no seed yet; clear choose_seed")


def _training_images(record: StudyRecord) -> int:
    return ExamplesSummary.read(record.examples or "").splits["training"].images
