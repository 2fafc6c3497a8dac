"""A whole tuning without Airflow: data once, trials, proof, and the model of the settings that won."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boxwright.config import TUNED_FILE, RunConfig, RunInfo, TuningConfig, Value, new_run, resolve_templates
from boxwright.dataset.examples import ExamplesSummary
from boxwright.errors import UsageError
from boxwright.model import Seed, hyperparameters_of, read_seed
from boxwright.pipeline import (
    Phase,
    choose_seed,
    find_node,
    nodes_of,
    output_folder,
    refuse_several_machines,
    run_nodes,
    summarise,
)
from boxwright.storage import Allowed
from boxwright.tuning.database import database_errors
from boxwright.tuning.outcome import publish_outcome, show, trace_outcome
from boxwright.tuning.proof import run_proof
from boxwright.tuning.records import Proof, StudyRecord
from boxwright.tuning.report import REPORT_PAGE
from boxwright.tuning.space import measured_often, tuned
from boxwright.tuning.study import Study
from boxwright.tuning.trial import parameters_of, run_of_study, sign_of, study_folder
from boxwright.tuning.trials import run_trials

log = logging.getLogger("boxwright.tuning")
_LOCK = "lock"
_NO_TEST = "the gain is proven on test images, which choosing never sees; name their dataset (--test)"


@database_errors()
def tune(
    config: RunConfig,
    tuning: TuningConfig,
    name: str | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> dict[str, Any]:
    """Tunes a run and trains the model of what won. The same call goes on with a study that was stopped or killed.

    Args:
        config: the run, with a test dataset.
        tuning: how it is tuned.
        name: of the study; by default one that equal settings have again, so that they go on with it.
        on_step: called with each step's id before it runs.

    Returns:
        What `boxwright tune --json` prints.

    Raises:
        UsageError: there are no test images, another process is at the study, or it has other settings.
        TrainingError: trials failed in the same way again and again.
        BoxwrightError: what a step raised.
    """
    config = prepared(config, tuning)
    name = name or study_name(config, tuning)
    folder = study_folder(name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(folder, name):
        study = Study(name, config, tuning)
        study.resume()
        tuned_study = _Tuning(study, _record(folder, name, config, tuning), folder, on_step)
        return tuned_study.run()


def prepared(config: RunConfig, tuning: TuningConfig) -> RunConfig:
    """The run as its trials have it.

    Raises:
        UsageError: it has no test dataset, does not measure what trials are compared by, or asks for several seeds or
            machines.
    """
    refuse_several_machines(config)
    seeds = hyperparameters_of(config).seeds
    if seeds > 1:
        raise UsageError(
            f"seeds={seeds}: a trial trains once, and the proof trains the best again with tuning_proof_seeds fresh "
            "seeds; leave out seeds, or set that one"
        )
    if config.test is None:
        raise UsageError(f"test is required for tuning: {_NO_TEST}")
    return measured_often(config, tuning)


@database_errors()
def stop_study(name: str) -> None:
    """Lets no more trials of a study begin; those under way come to their end, and the best is chosen.

    Raises:
        UsageError: there is no such study on this machine.
    """
    folder = study_folder(name)
    if not (folder / StudyRecord.FILE).is_file():
        known = ", ".join(sorted(path.parent.name for path in folder.parent.glob(f"*/{StudyRecord.FILE}"))) or "none"
        raise UsageError(f"there is no study {name!a} in {folder.parent}; there are {known}")
    record = StudyRecord.read(folder)
    Study(name, record.config, record.tuning).stop()


def study_name(config: RunConfig, tuning: TuningConfig) -> str:
    """The name of the study of these settings, however many trials it has."""
    kept = tuning.model_dump(mode="json", exclude=Study.FREE)
    digest = hashlib.sha256(json.dumps([json.loads(config.to_json()), kept], sort_keys=True).encode()).hexdigest()
    return f"{config.model_name}-{digest[:8]}"


class _Tuning:
    """One call of `tune`, with what all its parts need."""

    def __init__(self, study: Study, record: StudyRecord, folder: Path, on_step: Callable[[str], None]) -> None:
        self.study, self.record, self.folder, self.on_step = study, record, folder, on_step
        self.ended: str | None = None

    def run(self) -> dict[str, Any]:
        """All parts in order."""
        ran = self._prepare(self.record.run)
        self.on_step("trials")
        self._run_trials()
        self.on_step("proof")
        proof = run_proof(self.study, self.record, self.folder, self._show)
        self._show(proof)
        log.info("%s", proof.verdict)
        result = self._release(proof.settings, ran)
        return result | {
            "study": self.study.name,
            "trials": [one.model_dump(mode="json") for one in self.study.trials()],
            "ended": self.ended,
            "proof": proof.model_dump(mode="json"),
            "chosen": proof.settings,
            "settings_file": str(self.folder / TUNED_FILE),
            "report": str(self.folder / REPORT_PAGE),
        }

    def _run_trials(self) -> None:
        """Runs the trials, each below the study's run in MLflow."""
        told = run_of_study(self.record.config, self.record.run)

        def changed() -> None:
            best = self.study.ranked()[:1]
            if best:
                told.epoch({"epoch": float(len(self.study.trials()) - 1), "best": best[0].value or 0.0})
            self._show()

        with told.under_way(parameters_of(self.study.tuning)):
            told.progress(sign_of(self.study.name))
            self.ended = run_trials(self.study, self.folder, self._training_images, changed, told.should_stop)

    def _prepare(self, run: RunInfo) -> dict[str, Any]:
        """Runs the data steps and fetches the seed, once for all trials."""
        config = self._resolved(run)
        ran = run_nodes(config, run, nodes_of(Phase.DATA), self.on_step)
        # A study must not end with a finished run of the same recipe.
        seed = find_node(choose_seed(config.model_copy(update={"force": True}), run))
        ran |= run_nodes(config, run, [seed], self.on_step)
        examples = output_folder(run, nodes_of(Phase.DATA)[-1].id)
        if "test" not in ExamplesSummary.read(examples).splits:
            raise UsageError(f"the examples have no test images: {_NO_TEST}")
        self._note(run=run, examples=str(examples), seed=str(output_folder(run, seed.id)))
        return ran

    def _release(self, settings: dict[str, Value], ran: dict[str, Any]) -> dict[str, Any]:
        """Trains, measures, packs and registers the model of the settings; what was done for them is kept."""
        if self.record.final == settings and self.record.result is not None:
            self._publish(settings)  # of more trials, maybe
            return self.record.result
        if self.record.final not in (None, settings):
            log.info("the settings that won are others than before: their model gets a run of its own")
            # By itself it would start from the version that this study has registered.
            self._note(start=pinned(read_seed(Path(self.record.seed or ""))))
            ran = self._prepare(_new_run())
        self._note(final=settings, result=None)
        # Before the gate, which may end it.
        self._publish(settings)
        run = self.record.run.model_copy(update={"study": self.study.name, "tuned": json.dumps(settings)})
        config = tuned(self._resolved(run), settings)
        trace_outcome(config, run, self.study)
        ran = {**ran, **run_nodes(config, run, nodes_of(Phase.MODEL, Phase.RELEASE), self.on_step)}
        self._note(result=summarise(config, run, ran))
        return dict(self.record.result or {})

    def _show(self, proof: Proof | None = None) -> None:
        show(self.study, self.folder, self.ended, proof)

    def _publish(self, settings: dict[str, Value]) -> None:
        publish_outcome(self._resolved(self.record.run), self.record.run, self.folder, settings)

    def _note(self, **changed: Any) -> None:
        self.record = self.record.model_copy(update=changed)
        self.record.write(self.folder)

    def _resolved(self, run: RunInfo) -> RunConfig:
        config = resolve_templates(self.record.config.model_copy(update=self.record.start), run)
        Allowed.from_environment().check(config)
        return config

    @property
    def _training_images(self) -> int:
        return ExamplesSummary.read(self.record.examples or "").splits["training"].images


def pinned(seed: Seed) -> dict[str, str]:
    """The settings by which a run starts from a seed again."""
    return (
        {"seed_mode": "pretrained"}
        if seed.kind == "pretrained"
        else {"seed_mode": "incremental", "parent": seed.origin}
    )


def _record(folder: Path, name: str, config: RunConfig, tuning: TuningConfig) -> StudyRecord:
    """The record of the study as it was opened, with the present settings of tuning."""
    if (folder / StudyRecord.FILE).is_file():
        record = StudyRecord.read(folder).model_copy(update={"tuning": tuning})
    else:
        record = StudyRecord(name=name, run=_new_run(), config=config, tuning=tuning)
    record.write(folder)
    return record


def _new_run() -> RunInfo:
    run = new_run()
    return RunInfo(run_id=run.run_id.replace("cli__", "tune__", 1), as_of=run.as_of)


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Holds a study for this process.

    Raises:
        UsageError: another process is at it.
    """
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"the study {name} is under way in another process; wait for its end") from None
        yield
