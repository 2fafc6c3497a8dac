"""The interface of a model registry to the rest of the system, and the records that go in and out.

`boxwright.registry.opening` lists the registries there are. Another one is a module with a class of these methods, and
a row there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from boxwright.config import Frozen, ModelReference
from boxwright.errors import did_you_mean

# A version's facts are tags of these names: an accepted one is told from a rejected one in any registry alike.
RUN_ID = "boxwright.run_id"
ACCEPTED, AS_OF, ARCHIVE, SETTLED = (f"boxwright.{name}" for name in ("accepted", "as_of", "archive", "settled"))
PARENT, RECIPE = "boxwright.parent", "boxwright.recipe"
METRIC = "boxwright.metric."
FORMATS = "boxwright.formats"
# What a training takes of its machine: the curves beside those of its epochs.
USAGE = ("cpu_percent", "gpu_percent", "memory_mb", "gpu_memory_mb")
# Versions and models that a message lists.
MAX_LISTED = 20


class TrainingState(StrEnum):
    """The state of a training, as it last reported it."""

    RUNNING = "running"
    TRAINED = "trained"
    FAILED = "failed"
    KILLED = "killed"  # or stopped by a person; it can go on


@dataclass(frozen=True)
class Training:
    """The facts of a training, as it has reported them.

    Attributes:
        epochs: the records that `log_epoch` kept, by rising epoch; empty before the first epoch has ended.
        progress: of `Registry.training_progress`.
        usage: the curves that `log_progress` kept: (seconds since the training first began, value) by name.
        is_stop_asked: of `Registry.is_stop_asked`.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    progress: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    is_stop_asked: bool = False


class ReleasedFormat(Frozen):
    """A format of a version, in a few numbers; `formats.json` beside the archive has all.

    Attributes:
        name: format and precision, as `litert:float16`.
        ap_difference: its AP less the model's, on the evaluation images.
        ms: milliseconds of an image from bytes to boxes, on the machine that measured.
        mb: megabytes of its files.
    """

    name: str
    ap_difference: float
    ms: float
    mb: float


class Release(Frozen):
    """The facts of one run's model, as they are registered.

    Attributes:
        run_id: the run, which gets one version.
        archive_uri: its `model.tar.gz`.
        as_of: the time that the run stands for, with a time zone; a backfill's lies in the past.
        interval_start: where the run's data interval begins, if it has one; it ends at `as_of`.
        metrics: `AP` among them decides about the champion.
        fingerprint: of the dataset.
        parent: what it started from, if from an earlier model.
        classes: names by 0-based index.
        category_ids: the dataset's own id of each class.
        config_json: the run's configuration as it was given.
        hyperparameters: what it was trained with, defaults included.
        recipe: digest of all that determines the model, see `boxwright.packaging.recipe`.
        run_url: the run's page in Airflow.
        pictures: files that are kept with the run.
        curves: values by epoch, by name.
        accepted: False for a model that did not pass its gate or that a person turned down: it is kept to be looked
            at, and becomes neither candidate, nor champion, nor a parent.
        rejected_by: who turned it down.
        formats: those that lie beside the archive; None where nobody looked.
        study: the study that chose the settings, where one did.
        tuned: what it chose, as a JSON object of hyperparameters.
    """

    model_name: str
    run_id: str = Field(pattern=r"^[^'\"`\\\s]+$")
    archive_uri: str
    as_of: AwareDatetime
    interval_start: AwareDatetime | None = None
    metrics: dict[str, float]
    fingerprint: str
    parent: str | None
    model_id: str
    classes: list[str]
    category_ids: list[int] = []
    config_json: str
    hyperparameters: dict[str, Any] = {}
    recipe: str = ""
    code_version: str
    run_url: str | None = None
    pictures: list[Path]
    curves: dict[str, list[float]] = {}
    accepted: bool = True
    rejected_by: str | None = None
    formats: tuple[ReleasedFormat, ...] | None = None
    study: str | None = None
    tuned: str | None = None


_FORMATS = TypeAdapter(tuple[ReleasedFormat, ...])


@dataclass(frozen=True)
class Version:
    """One version of a registered model.

    Attributes:
        as_of: the time its run stands for, in UTC; of a version that others made, when it was made.
        run_id: of Boxwright; empty for a version that others made.
        aliases: that point at it, where it was asked for by its number or alias; a list of versions leaves them out.
    """

    name: str
    version: int
    archive_uri: str
    run_id: str
    as_of: datetime
    tags: dict[str, str]
    aliases: tuple[str, ...] = field(default=(), compare=False)

    @property
    def reference(self) -> str:
        """The name of this version: `models:/NAME/3`."""
        return str(ModelReference(self.name, self.version))

    @property
    def accepted(self) -> bool:
        """Whether it passed its gate, and nobody withdrew it since."""
        return self.tags.get(ACCEPTED) == "true"

    @property
    def settled(self) -> bool:
        """Whether its aliases were decided."""
        return SETTLED in self.tags

    @property
    def parent(self) -> str | None:
        """The earlier model that it started from, or None."""
        return self.tags.get(PARENT)

    @property
    def ap(self) -> float | None:
        """AP on its evaluation images."""
        return self.metrics.get("AP")

    @property
    def formats(self) -> tuple[ReleasedFormat, ...]:
        """The formats that lie beside its archive; none where a person wrote something else over the tag."""
        try:
            return _FORMATS.validate_json(self.tags.get(FORMATS, "[]"))
        except ValidationError:
            return ()

    @property
    def has_formats(self) -> bool:
        """Whether `formats.json` lies beside its archive."""
        return FORMATS in self.tags

    @property
    def metrics(self) -> dict[str, float]:
        """Every metric that was registered; a tag that a person wrote over with something else counts as none."""
        written = {tag.removeprefix(METRIC): value for tag, value in self.tags.items() if tag.startswith(METRIC)}
        return {name: number for name, value in written.items() if (number := _number(value)) is not None}


@dataclass(frozen=True)
class RegisteredModel:
    """One registered model; `aliases` is version by alias."""

    name: str
    aliases: dict[str, int]


class Registry(Protocol):
    """A model registry.

    Every method raises StorageError where the registry does not answer, and UsageError where it refuses.
    """

    def register(self, release: Release) -> Version:
        """Makes, or finds, the version of a run, and gives it its aliases.

        `candidate` moves to the newest accepted version. `champion` moves to this one when there is none, or when its
        AP is at least the champion's and it does not stand for an earlier time. Both are decided once: a repeated call
        does not undo what a person changed since.

        Raises:
            DataError: a picture is missing.
        """

    def record_failure(self, release: Release) -> None:
        """Keeps the metrics and pictures of a run that gets no version, as those of a failed one.

        Raises:
            DataError: a picture is missing.
        """

    def begin_training(
        self, model_name: str, run_id: str, parameters: Mapping[str, str], part_of: str | None = None
    ) -> None:
        """Notes that a training begins, or goes on, and with which parameters.

        Earlier trainings of the model that died without a word are noted as killed.

        Args:
            model_name: the registered model.
            run_id: of the run, or of one training of a study.
            parameters: by name.
            part_of: the run of the study, where the training is one of its trials.
        """

    def end_training(self, model_name: str, run_id: str, state: TrainingState) -> None:
        """Notes how a training ended."""

    def log_progress(self, model_name: str, run_id: str, progress: Mapping[str, Any]) -> None:
        """Keeps where a training stands within an epoch, as JSON can hold it, in place of what was kept before.

        What it has of the names of `USAGE` is kept as a point of a curve each.
        """

    def training_progress(self, model_name: str, run_id: str) -> dict[str, Any]:
        """The last logged progress, with `state` and `at`, in seconds since 1970; empty before a training began."""

    def ask_to_stop(self, model_name: str, run_id: str) -> None:
        """Asks a training to end after the epoch that is under way.

        Raises:
            UsageError: the run has no training of this model under way.
        """

    def is_stop_asked(self, model_name: str, run_id: str) -> bool:
        """Whether somebody has asked for that since the training began or went on."""

    def log_epoch(self, model_name: str, run_id: str, record: dict[str, float]) -> None:
        """Keeps what was measured in an epoch of a training; `record["epoch"]` is its number.

        Written again, the record stands there once more at its epoch.
        """

    def training(self, model_name: str, run_id: str) -> Training:
        """All that is kept of a training, for those who look again and again: what has not changed is not read anew."""

    def models(self) -> tuple[RegisteredModel, ...]:
        """Every registered model, by name."""

    def aliases(self, model_name: str) -> dict[str, int]:
        """Version by alias; empty if there is no such model."""

    def versions(self, model_name: str) -> tuple[Version, ...]:
        """All versions of a model, by rising number; empty if there is no such model."""

    def recent(self, page: int) -> Iterator[tuple[Version, ...]]:
        """The versions of all models, newest first, read `page` at a time."""

    def resolve(self, reference: str) -> Version:
        """The version that a reference names; see `ModelReference.parse`.

        Raises:
            UsageError: there is none; the message lists what there is.
        """

    def named(self, model_name: str, alias: str) -> Version | None:
        """The version that has an alias, or None."""

    def newest_accepted(self, model_name: str, as_of: datetime, exclude_run_id: str | None = None) -> Version | None:
        """The accepted version that stands for the latest time not after `as_of`, or None.

        Args:
            model_name: the registered model.
            as_of: with a time zone.
            exclude_run_id: a run that shall not find itself.

        Raises:
            UsageError: `as_of` has no time zone.
        """

    def made_by(self, model_name: str, recipe: str) -> tuple[Version, ...]:
        """The versions that were made by a recipe (`boxwright.packaging.recipe`), by rising number."""

    def promote(self, reference: str, expected: int | None = None) -> tuple[Version, Version | None]:
        """Makes a version the champion; the champion until now becomes `previous`.

        Args:
            reference: of the version.
            expected: number of the champion that the caller has seen, 0 for none; unset, whichever it is.

        Returns:
            The version and the champion before, which is the version itself where it was champion already.

        Raises:
            UsageError: there is no such version, it is not accepted, or the champion is another than expected.
            StorageError: another machine moved the champion at the same time.
        """

    def rollback(self, model_name: str, reject: bool = False, expected: int | None = None) -> tuple[Version, Version]:
        """Makes `previous` the champion again and the champion `previous`.

        Args:
            model_name: the registered model.
            reject: withdraw the champion that goes: it is no longer accepted, and no later run starts from it.
            expected: number of the champion that the caller has seen; unset, whichever it is.

        Returns:
            The version that went and the one that came, as they are now.

        Raises:
            UsageError: there is no previous champion, it was rejected, or the champion is another than expected.
            StorageError: another machine moved the champion at the same time.
        """

    def run_page(self, model_name: str, run_id: str) -> str | None:
        """Address of the page of a run's metrics, for a browser; None where there is none."""

    def version_page(self, version: Version) -> str | None:
        """Address of the page of a version, for a browser; None where there is none."""


def no_versions(name: str, models: Iterable[RegisteredModel]) -> str:
    """The message for a model without any version, which lists the models that there are."""
    names = [model.name for model in models]
    listed = ", ".join(names[:MAX_LISTED]) or "none"
    return f"no model {name} has a version{did_you_mean(name, names)}; registered are {listed}"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
