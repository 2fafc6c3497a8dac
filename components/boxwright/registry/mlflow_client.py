"""The calls that the registry makes to MLflow, whichever way it is reached, and the errors that failures become.

`boxwright.registry.rest` reaches a server, `boxwright.registry.mlflow_library` everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from boxwright.errors import BoxwrightError, StorageError, UsageError, shorten
from boxwright.registry.port import RegisteredModel, Version

RUNNING, FINISHED, FAILED, KILLED = "RUNNING", "FINISHED", "FAILED", "KILLED"
VERSIONS_PAGE = 500


class MissingError(UsageError):
    """The object that was asked for does not exist."""


class ExistsError(UsageError):
    """The object to be created exists already."""


class Metric(NamedTuple):
    """One value of a metric; `time` in milliseconds since 1970."""

    name: str
    value: float
    time: int
    step: int


@dataclass(frozen=True)
class MlflowRun:
    """One run of MLflow's.

    Attributes:
        started: milliseconds since 1970.
        artifacts: URI of the folder for its files.
        metrics: the last value of each, as text.
    """

    run_id: str
    experiment_id: str
    status: str
    started: int
    artifacts: str
    tags: dict[str, str] = field(repr=False)
    params: dict[str, str] = field(repr=False)
    metrics: dict[str, str] = field(default_factory=dict, repr=False)


class MlflowClient(Protocol):
    """MLflow behind one tracking URI.

    Every method raises StorageError where MLflow does not answer, and UsageError where it refuses: MissingError and
    ExistsError among them. Queries are filters of MLflow's.
    """

    @property
    def shown(self) -> str:
        """The tracking URI without a password."""

    @property
    def address(self) -> str | None:
        """The address of MLflow's pages for a browser; None where there are none."""

    def models(self) -> list[RegisteredModel]:
        """All registered models."""

    def model(self, name: str) -> RegisteredModel:
        """One registered model."""

    def create_model(self, name: str) -> None:
        """Makes a registered model."""

    def version_pages(self, query: str = "", page: int = VERSIONS_PAGE) -> Iterator[list[Version]]:
        """The versions that match, newest first, a page at a time."""

    def version(self, name: str, number: int) -> Version:
        """One version, with its aliases."""

    def version_of_alias(self, name: str, alias: str) -> Version:
        """The version that an alias points at, in one question however many there are.

        MLflow refuses an alias that does not exist with the code of a wrong name: UsageError, and not MissingError.
        """

    def create_version(self, name: str, source: str, run_id: str | None, tags: Mapping[str, str]) -> Version:
        """Makes a version with its tags, in one transaction; `run_id` is the MLflow run's."""

    def set_version_tag(self, name: str, number: int, key: str, value: str) -> None:
        """Writes a tag of a version."""

    def set_alias(self, name: str, alias: str, number: int) -> None:
        """Makes or moves an alias."""

    def delete_alias(self, name: str, alias: str) -> None:
        """Removes an alias."""

    def experiment(self, name: str) -> str | None:
        """Id of an experiment; None where there is none."""

    def create_experiment(self, name: str) -> str:
        """Makes an experiment; returns its id."""

    def runs(self, experiment_id: str, query: str) -> list[MlflowRun]:
        """Runs of an experiment that match; as many as one page holds."""

    def create_run(self, experiment_id: str, tags: Mapping[str, str]) -> MlflowRun:
        """Makes a run."""

    def log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Writes metrics, parameters and tags of a run."""

    def log_file(self, run: MlflowRun, path: Path, folder: str) -> None:
        """Keeps a file with a run."""

    def end_run(self, run_id: str, status: str) -> None:
        """Ends a run."""

    def reopen_run(self, run_id: str) -> None:
        """Lets a run that has ended go on."""

    def metric_history(self, run_id: str, name: str) -> list[tuple[int, float]]:
        """(step, value) of a metric of a run, as they were logged."""


def quoted(value: str) -> str:
    """A value as a filter of MLflow's takes it.

    Raises:
        UsageError: it has a quote or control character, which could end the value and begin another condition.
    """
    if "'" in value or not value.isprintable():
        raise UsageError(f"{shorten(value)} cannot be looked up in MLflow; use no quotes and no control characters")
    return f"'{value}'"


def no_address() -> UsageError:
    """The error for a tracking URI that cannot be read; it is not repeated, for a password's sake."""
    return UsageError(
        "MLFLOW_TRACKING_URI is not an address; expected one such as http://host:5000, with the log-in in "
        "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    )


def failure_kind(code: str, otherwise: type[BoxwrightError]) -> type[BoxwrightError]:
    """The error that one of MLflow's error codes, such as `INVALID_PARAMETER_VALUE`, becomes."""
    return _FAILURES.get(code, otherwise)


_FAILURES: dict[str, type[BoxwrightError]] = {
    "RESOURCE_DOES_NOT_EXIST": MissingError,
    "RESOURCE_ALREADY_EXISTS": ExistsError,
    **dict.fromkeys(("INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "UNAUTHENTICATED", "INVALID_STATE"), UsageError),
    # A database's own refusal, as where two machines make the same alias at once.
    "BAD_REQUEST": StorageError,
}
