"""The facts of a study: what it was opened with, what became of each trial, and what was shown."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Literal

from boxwright.config import Frozen, RunConfig, RunInfo, TuningConfig, Value
from boxwright.storage import StoredRecord


class TrialState(StrEnum):
    """The state of a trial."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


class Trial(Frozen):
    """One trial.

    Attributes:
        number: from 0, which has the settings as they are.
        settings: its hyperparameters by name.
        value: of the objective, of the weights that it ended with; of a pruned one where it ended.
        curve: the objective by the number of epochs trained.
        epochs: trained.
        seconds: of its epochs, validation included.
        reason: why it was pruned, or failed.
        kind: of the failure; failures of one kind have one cause.
    """

    number: int
    state: TrialState
    settings: dict[str, Value]
    value: float | None = None
    curve: dict[int, float] = {}
    epochs: int = 0
    seconds: float = 0.0
    reason: str | None = None
    kind: str | None = None


class StudyRecord(StoredRecord):
    """The content of `study.json`: what a study was opened with, for the processes of its trials.

    Attributes:
        name: of the study.
        run: the run that its data steps and its model belong to.
        config: the run that is tuned, with what is measured for tuning; dates in URIs are not filled in yet.
        tuning: how it is tuned.
        examples: folder of `build_examples`; None before it is there.
        seed: folder of the seed.
        start: settings that pin what a later run of the study starts from, so that it is what its trials started from.
        final: the settings that the run's model was begun with; None before.
        result: what the run came to, as `boxwright run --json` prints it.
    """

    FILE: ClassVar[str] = "study.json"
    ADVICE: ClassVar[str] = "start a study of another name"

    name: str
    run: RunInfo
    config: RunConfig
    tuning: TuningConfig
    examples: str | None = None
    seed: str | None = None
    start: dict[str, str] = {}
    final: dict[str, Value] | None = None
    result: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, object]:
        """The settings that were made as JSON values, so that defaults of the model id still apply."""
        return self.model_dump(mode="json", exclude_unset=True)


class Finalist(Frozen):
    """One configuration of the proof.

    Attributes:
        name: `defaults`, or `trial N`.
        settings: its hyperparameters by name.
        seeds: that it was trained with again.
        AP: on the test images, by seed; mean over IoU 0.50 to 0.95.
        difference: mean AP less the mean of the defaults; None for the defaults, and where a training failed.
        low, high: the interval of the difference, over images and seeds.
        problem: why it was not measured.
    """

    name: str
    settings: dict[str, Value]
    seeds: list[int]
    AP: list[float] = []
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    problem: str | None = None

    @property
    def gains(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low is not None and self.low > 0

    @property
    def mean(self) -> float | None:
        """Mean AP over the seeds."""
        return sum(self.AP) / len(self.AP) if self.AP else None


def signed(value: float) -> str:
    """A difference in four decimals, or in two digits where those are all zero, since its side of zero counts."""
    return f"{value:+.4f}" if abs(value) >= 0.00005 or value == 0 else f"{value:+.1e}"


class Proof(Frozen):
    """The comparison of the best settings with those as they are, on images that choosing never saw.

    Attributes:
        finalists: the defaults first.
        images: test images.
        samples: bootstrap samples drawn.
        confidence: of all intervals together.
        winner: name of the configuration that the final model has.
        verdict: in words.
    """

    finalists: list[Finalist]
    images: int
    samples: int
    confidence: float
    winner: str
    verdict: str

    @property
    def settings(self) -> dict[str, Value]:
        """The hyperparameters that the final model has."""
        return next(one.settings for one in self.finalists if one.name == self.winner)


class Outcome(StoredRecord):
    """The content of `tuning.json`: what a study came to.

    Attributes:
        study: its name.
        status: `running` while trials, proof or release are under way.
        ended: why no more trials were begun.
        objective: see `TuningConfig`.
        trials: all of them.
        proof: None before it is there.
        chosen: the tuned hyperparameters of the final model, whichever settings won.
    """

    FILE: ClassVar[str] = "tuning.json"
    ADVICE: ClassVar[str] = "run the same `boxwright tune` again"

    study: str
    status: Literal["running", "chosen"] = "running"
    ended: str | None = None
    objective: str
    trials: list[Trial]
    proof: Proof | None = None
    chosen: dict[str, Value] = {}
