"""One trial: a training with settings of its own, which is told of to its study."""

from __future__ import annotations

import logging
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxwright.config import RunConfig, RunInfo, Settings, TuningConfig
from boxwright.errors import (
    BoxwrightError,
    DataError,
    DivergedError,
    OutOfMemoryError,
    StoppedError,
    StorageError,
)
from boxwright.evaluation import validation_ap
from boxwright.model import hyperparameters_of
from boxwright.packaging import run_folder
from boxwright.registry import TrainingRun
from boxwright.training import Record, StepProgress, TrainingFacts, Watch, fine_tune, read_history
from boxwright.tuning.database import database_errors
from boxwright.tuning.records import StudyRecord
from boxwright.tuning.space import TrialSettings, tuned
from boxwright.tuning.study import OUT_OF_MEMORY, Study

log = logging.getLogger("boxwright.tuning")
_PACKAGE = "boxwright"
# What a sign of a study has, and that of a training has not.
SIGN = "study"


class _PrunedError(Exception):
    """Ends a training that its study has given up."""

    def __init__(self, epochs: int) -> None:
        super().__init__(epochs)
        self.epochs = epochs


@dataclass(frozen=True)
class TrainingFolder:
    """The places of one training of a study.

    Attributes:
        out_dir: of its history and, for a proof, its weights.
        checkpoints: of its state, below the folder that all checkpoints of this machine are in.
        mirror: of the state; None where there is none.
    """

    out_dir: Path
    checkpoints: Path
    mirror: str | None

    @classmethod
    def of(cls, study: str, name: str) -> TrainingFolder:
        """The places of the training of that name, such as `trial-3`."""
        settings = Settings.from_environment()
        checkpoints, mirror = settings.checkpoints(f"{run_folder(study)}.{name}")
        return cls(study_folder(study) / name, checkpoints, mirror)

    @property
    def is_done(self) -> bool:
        """Whether the training came to its end."""
        return (self.out_dir / TrainingFacts.FILE).exists()


def study_folder(study: str) -> Path:
    """The folder of a study on this machine."""
    return Settings.from_environment().home / "tuning" / study


def trial_name(number: int) -> str:
    """The name of a trial's folder."""
    return f"trial-{number}"


def run_of_study(config: RunConfig, run: RunInfo) -> TrainingRun:
    """What the registry is told of a study: that its trials are under way, until they have ended."""
    return TrainingRun(config.model_name, run.run_id)


def run_of_trial(config: RunConfig, run: RunInfo, number: int) -> TrainingRun:
    """What the registry is told of a trial, as a part of its study."""
    return TrainingRun(config.model_name, f"{run.run_id}.{trial_name(number)}", part_of=run.run_id)


def parameters_of(tuning: TuningConfig) -> dict[str, Any]:
    """What the run of a study in MLflow has as its parameters."""
    return {f"tuning_{name}": value for name, value in tuning.model_dump(mode="json").items()}


def sign_of(study: str) -> dict[str, str]:
    """A study's sign of life: silence is taken for death, and who is asked to stop has to be known."""
    return {SIGN: study}


@database_errors()
def run_trial(record: StudyRecord, number: int, should_stop: Callable[[], bool] | None = None) -> None:
    """Trains with the settings of a trial and tells its study what came of it. The same call goes on after a kill.

    Args:
        record: of the study, with examples and seed.
        number: of the trial, which was asked for.
        should_stop: whether to end after an epoch, and go on another time.

    Raises:
        StorageError: storage or a server did not answer; the same call may succeed later.
        StoppedError: as asked for; the trial goes on when it is called again.
    """
    study = Study(record.name, record.config, record.tuning)
    settings, places = study.settings_of(number), TrainingFolder.of(record.name, trial_name(number))
    told = run_of_trial(record.config, record.run, number)
    watch = _watch(study, number, record, settings, places, told, should_stop)
    try:
        with told.under_way({"model_id": record.config.model_id, **settings}), database_errors():
            _train_trial(study, number, record, settings, places, watch)
    except DivergedError as error:
        study.prune(number, f"diverged: {error}")
    except OutOfMemoryError as error:
        study.fail(number, OUT_OF_MEMORY, str(error))
    except (StoppedError, StorageError):
        raise
    except Exception as error:
        log.exception("trial %d failed", number)
        study.fail(number, *failure(error))
    shutil.rmtree(places.checkpoints, ignore_errors=True)
    forget_weights(places.out_dir)


def _train_trial(
    study: Study, number: int, record: StudyRecord, settings: TrialSettings, places: TrainingFolder, watch: Watch
) -> None:
    """Trains to the end, or until the study has given the trial up, and tells the study."""
    try:
        history = train(record, settings, places, watch)
    except _PrunedError as pruned:
        epochs = "1 epoch" if pruned.epochs == 1 else f"{pruned.epochs} epochs"
        study.prune(number, f"not among the best after {epochs}")
    else:
        study.complete(number, objective_of(history, places.out_dir, record.tuning.measure))


def train(record: StudyRecord, settings: TrialSettings, places: TrainingFolder, watch: Watch) -> list[Record]:
    """Trains with these settings, or goes on, or finds that it is done; returns the history.

    Raises:
        BoxwrightError: see `fine_tune`.
    """
    if record.examples is None or record.seed is None:
        raise StorageError(f"the study {record.name} has no examples yet; run the same `boxwright tune` again")
    if not places.is_done:
        places.out_dir.mkdir(parents=True, exist_ok=True)
        fine_tune(
            tuned(record.config, settings),
            Path(record.examples),
            Path(record.seed),
            places.out_dir,
            places.checkpoints,
            watch,
            places.mirror,
        )
    return read_history(places.out_dir)


def objective_of(history: list[Record], out_dir: Path, measure: str) -> float:
    """The objective of the weights that a training ended with: of their epoch, or the last one measured before.

    Raises:
        DataError: it was never measured.
    """
    final = TrainingFacts.read(out_dir).final_epoch
    for record in reversed([one for one in history if one["epoch"] <= final]):
        if measure in record:
            return record[measure]
    raise DataError(
        f"{measure} was not measured in {len(history)} epochs; do the validation images have boxes? "
        "tuning_objective=val_loss needs none"
    )


def failure(error: Exception) -> tuple[str, str]:
    """The kind of a crash, which is the same wherever the same thing went wrong, and its reason on one line."""
    if isinstance(error, BoxwrightError):
        return f"{type(error).__name__} {_place(error)}".strip(), str(error).splitlines()[0]
    text = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {text[0] if text else 'no message'}"
    return f"{type(error).__name__} {_place(error)}".strip(), reason


def forget_weights(out_dir: Path) -> None:
    """Removes the weights of a trial, which nobody needs: the chosen settings are trained with again."""
    for path in out_dir.glob("*.h5"):
        path.unlink()


def _place(error: Exception) -> str:
    """The innermost function of Boxwright's that the error went through."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _PACKAGE in Path(frame.filename).parts]
    return f"in {Path(own[-1].filename).name}:{own[-1].name}" if own else ""


def _watch(
    study: Study,
    number: int,
    record: StudyRecord,
    settings: TrialSettings,
    places: TrainingFolder,
    told: TrainingRun,
    should_stop: Callable[[], bool] | None,
) -> Watch:
    look = validation_ap(Path(record.examples or ""), rarest=record.tuning.objective == "AP_rarest")
    planned = hyperparameters_of(tuned(record.config, settings)).epochs
    measure = record.tuning.measure

    def report(epoch: Record) -> None:
        told.epoch(epoch)
        history = read_history(places.checkpoints)
        study.spend(number, len(history), sum(one.get("seconds", 0.0) for one in history))
        done = int(epoch["epoch"]) + 1
        if measure in epoch and study.report(number, done, epoch[measure]) and done < planned:
            raise _PrunedError(done)

    of_study = run_of_study(record.config, record.run)

    def tell(progress: StepProgress) -> None:
        told.progress(progress.model_dump())
        of_study.progress(sign_of(record.name))

    return Watch(look, report, look.glance, tell, should_stop)
