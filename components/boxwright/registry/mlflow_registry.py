"""The model registry that MLflow keeps, opened as a database file or through a server alike.

A run has one version, however often and by however many processes it is registered.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from boxwright.config import ModelReference, checked_name
from boxwright.errors import DataError, UsageError
from boxwright.registry import tracking, training_state
from boxwright.registry.mlflow_client import FAILED, ExistsError, MissingError, MlflowClient, MlflowRun, quoted
from boxwright.registry.port import (
    AS_OF,
    MAX_LISTED,
    RECIPE,
    RUN_ID,
    RegisteredModel,
    Release,
    Training,
    TrainingState,
    Version,
    no_versions,
)
from boxwright.registry.promotion import Aliases
from boxwright.registry.tags import version_tags

# Trainings whose curves are kept for those who look at them again.
_TRAININGS_KEPT = 16
log = logging.getLogger("boxwright.training")


class MlflowRegistry:
    """The `Registry` behind one tracking URI: every method's contract stands there.

    Args:
        client: reaches MLflow.
        lock: held while something is decided and written; may be held again by who holds it.
    """

    def __init__(self, client: MlflowClient, lock: AbstractContextManager[Any]) -> None:
        self._client, self._lock = client, lock
        self._runs: dict[tuple[str, str], MlflowRun] = {}
        self._trainings: dict[str, tuple[MlflowRun, Training]] = {}

    def register(self, release: Release) -> Version:
        """See `Registry`."""
        _check_pictures(release)
        with self._lock:
            version = self._version_of_run(checked_name(release.model_name), release.run_id)
            if version is None:
                version = self._create(release, tracking.log_run(self._client, release))
            if not version.settled:
                Aliases(self._client, version.name).settle(version)
            return self._client.version(version.name, version.version)

    def record_failure(self, release: Release) -> None:
        """See `Registry`."""
        _check_pictures(release)
        with self._lock:
            tracking.log_run(self._client, release, status=FAILED)

    def begin_training(
        self, model_name: str, run_id: str, parameters: Mapping[str, str], part_of: str | None = None
    ) -> None:
        """See `Registry`."""
        with self._lock:
            run = self._runs[model_name, run_id] = tracking.run_of(self._client, model_name, run_id, part_of)
        training_state.begin(self._client, run, parameters)
        for dead in training_state.bury(self._client, run.experiment_id, run_id):
            log.info("the training of run %s has died without a word: its MLflow run is marked as killed", dead)

    def end_training(self, model_name: str, run_id: str, state: TrainingState) -> None:
        """See `Registry`."""
        training_state.end(self._client, self._run(model_name, run_id), state)

    def log_progress(self, model_name: str, run_id: str, progress: Mapping[str, Any]) -> None:
        """See `Registry`."""
        training_state.note(self._client, self._run(model_name, run_id), progress)

    def training_progress(self, model_name: str, run_id: str) -> dict[str, Any]:
        """See `Registry`."""
        run = tracking.find_run(self._client, model_name, run_id)
        return training_state.read(run) if run else {}

    def ask_to_stop(self, model_name: str, run_id: str) -> None:
        """See `Registry`."""
        run = tracking.find_run(self._client, model_name, run_id)
        state = training_state.read(run).get("state") if run else None
        if run is None or state != TrainingState.RUNNING:
            known = f"its last word is {state!a}" if state else f"{model_name} has no training of that name"
            raise UsageError(f"run {run_id!a} has no training of {model_name} under way: {known}")
        training_state.ask_to_stop(self._client, run)

    def is_stop_asked(self, model_name: str, run_id: str) -> bool:
        """See `Registry`."""
        run = tracking.find_run(self._client, model_name, run_id)
        return run is not None and training_state.is_asked_to_stop(run)

    def log_epoch(self, model_name: str, run_id: str, record: dict[str, float]) -> None:
        """See `Registry`."""
        tracking.log_epoch(self._client, self._run(model_name, run_id), record)

    def training(self, model_name: str, run_id: str) -> Training:
        """See `Registry`."""
        run = tracking.find_run(self._client, model_name, run_id)
        if run is None:
            return Training()
        if (known := self._trainings.get(run.run_id)) and known[0] == run:
            return known[1]
        # The run was read before its curves: what comes in between makes the next reader read them once more.
        training = Training(
            tracking.read_epochs(self._client, run),
            training_state.read(run),
            training_state.read_usage(self._client, run),
            training_state.is_asked_to_stop(run),
        )
        if len(self._trainings) >= _TRAININGS_KEPT:
            self._trainings.clear()
        self._trainings[run.run_id] = run, training
        return training

    def models(self) -> tuple[RegisteredModel, ...]:
        """See `Registry`."""
        return tuple(sorted(self._client.models(), key=lambda model: model.name))

    def aliases(self, model_name: str) -> dict[str, int]:
        """See `Registry`."""
        try:
            return self._client.model(model_name).aliases
        except MissingError:
            return {}

    def versions(self, model_name: str) -> tuple[Version, ...]:
        """See `Registry`."""
        return self._search(_of_model(model_name))

    def recent(self, page: int) -> Iterator[tuple[Version, ...]]:
        """See `Registry`."""
        return map(tuple, self._client.version_pages(page=page))

    def resolve(self, reference: str) -> Version:
        """See `Registry`."""
        found = ModelReference.parse(reference)
        try:
            if found.version is not None:
                return self._client.version(found.name, found.version)
            if (version := self.named(found.name, str(found.alias))) is not None:
                return version
        except MissingError:
            pass
        raise UsageError(self._what_there_is(found))

    def named(self, model_name: str, alias: str) -> Version | None:
        """See `Registry`."""
        return Aliases(self._client, model_name).named(alias)

    def newest_accepted(self, model_name: str, as_of: datetime, exclude_run_id: str | None = None) -> Version | None:
        """See `Registry`."""
        if as_of.tzinfo is None:
            raise UsageError(f"as_of={as_of.isoformat()} has no time zone; add one, such as +00:00")
        # A page at a time: the versions of years are more than a step should hold.
        found = (
            version
            for page in self._client.version_pages(_of_model(model_name))
            for version in page
            if version.accepted and AS_OF in version.tags and version.as_of <= as_of
            if version.run_id != exclude_run_id
        )
        return max(found, key=lambda version: (version.as_of, version.version), default=None)

    def made_by(self, model_name: str, recipe: str) -> tuple[Version, ...]:
        """See `Registry`."""
        found = self._search(f"{_of_model(model_name)} AND tags.`{RECIPE}` = {quoted(recipe)}")
        return tuple(version for version in found if version.tags.get(RECIPE) == recipe)

    def promote(self, reference: str, expected: int | None = None) -> tuple[Version, Version | None]:
        """See `Registry`."""
        with self._lock:
            version = self.resolve(reference)
            return version, Aliases(self._client, version.name).promote(version, expected)

    def rollback(self, model_name: str, reject: bool = False, expected: int | None = None) -> tuple[Version, Version]:
        """See `Registry`."""
        with self._lock:
            if not self.aliases(model_name) and not self._newest(model_name):
                raise UsageError(no_versions(model_name, self.models()))
            went, came = Aliases(self._client, model_name).rollback(reject, expected)
            return self._client.version(model_name, went.version), came

    def run_page(self, model_name: str, run_id: str) -> str | None:
        """See `Registry`."""
        address = self._client.address
        run = tracking.find_run(self._client, model_name, run_id) if address else None
        return f"{address}/#/experiments/{run.experiment_id}/runs/{run.run_id}" if run else None

    def version_page(self, version: Version) -> str | None:
        """See `Registry`."""
        address = self._client.address
        return f"{address}/#/models/{version.name}/versions/{version.version}" if address else None

    def _run(self, model_name: str, run_id: str) -> MlflowRun:
        if (model_name, run_id) not in self._runs:
            with self._lock:
                self._runs[model_name, run_id] = tracking.run_of(self._client, model_name, run_id)
        return self._runs[model_name, run_id]

    def _create(self, release: Release, run: MlflowRun) -> Version:
        try:
            self._client.create_model(release.model_name)
        except ExistsError:
            pass
        source = tracking.source_of(release.archive_uri, run)
        # Tags in one transaction with the version: no crash can leave a version that its run does not find again.
        tags = version_tags(release, tracking.key)
        return self._client.create_version(release.model_name, source, run.run_id, tags)

    def _version_of_run(self, model_name: str, run_id: str) -> Version | None:
        found = self._search(f"name = {quoted(model_name)} AND tags.`{RUN_ID}` = {quoted(run_id)}")
        # Some databases compare without case.
        return next((version for version in found if version.run_id == run_id), None)

    def _search(self, query: str) -> tuple[Version, ...]:
        found = [version for page in self._client.version_pages(query) for version in page]
        return tuple(sorted(found, key=lambda version: version.version))

    def _newest(self, model_name: str) -> list[Version]:
        return next(iter(self._client.version_pages(_of_model(model_name), page=MAX_LISTED)), [])

    def _what_there_is(self, reference: ModelReference) -> str:
        name, aliases = reference.name, self.aliases(reference.name)
        listed = [str(version.version) for version in reversed(self._newest(name))]
        if not listed:
            return f"{reference}: {no_versions(name, self.models())}"
        listed += [f"@{alias} ({number})" for alias, number in sorted(aliases.items())]
        return f"{reference} does not exist; {name} has {', '.join(listed[-MAX_LISTED:])}"


def _of_model(name: str) -> str:
    return f"name = {quoted(checked_name(name))}"


def _check_pictures(release: Release) -> None:
    missing = [str(path) for path in release.pictures if not path.is_file()]
    if missing:
        raise DataError(f"{', '.join(missing)} of run {release.run_id} does not exist; run the evaluation again")
