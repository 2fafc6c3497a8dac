"""The model registry: MLflow, opened as a database file or through a server alike.

A run has one version, however often and by however many processes it is registered.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cached_property
from typing import Any

from boxwright.errors import DataError, UsageError
from boxwright.registry import tracking
from boxwright.registry.promotion import CANDIDATE, CHAMPION, PREVIOUS, Aliases
from boxwright.registry.versions import AS_OF, RECIPE, RUN_ID, Release, Version, read_version, version_tags

__all__ = ["CANDIDATE", "CHAMPION", "PREVIOUS", "Registry", "Release", "Version"]

_REFERENCE = re.compile(r"models:/(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)(?:/(?P<version>[0-9]{1,9})|@(?P<alias>[\w.-]+))")


class Registry:
    """The registry behind one tracking URI.

    Every method raises StorageError where the server or database does not answer, and UsageError where it refuses.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri
        self._lock = tracking.writer_lock(tracking_uri)

    @cached_property
    def _client(self) -> Any:
        return tracking.connect(self.tracking_uri, self._lock)

    def register(self, release: Release) -> Version:
        """Makes, or finds, the version of a run, and gives it its aliases.

        `candidate` moves to the newest accepted version. `champion` moves to this one when there is none, or when its
        AP is at least the champion's and it does not stand for an earlier time. Both are decided once: a repeated call
        does not undo what a person changed since.

        Raises:
            DataError: a picture is missing.
        """
        _check_pictures(release)
        with tracking.explained(self.tracking_uri), self._lock:
            version = self._version_of_run(release.model_name, release.run_id)
            if version is None:
                mlflow_run = tracking.log_run(self._client, self.tracking_uri, release)
                version = self._create(release, mlflow_run)
            if not version.settled:
                self._aliases_of(version.name).settle(version)
            return self._get(version.name, version.version)

    def record_failure(self, release: Release) -> None:
        """Ends the MLflow run of a run that gets no version: failed, with its metrics and pictures.

        Raises:
            DataError: a picture is missing.
        """
        _check_pictures(release)
        with tracking.explained(self.tracking_uri), self._lock:
            tracking.log_run(self._client, self.tracking_uri, release, status="FAILED")

    def versions(self, model_name: str) -> tuple[Version, ...]:
        """All versions of a model, by rising number; none where there is no such model."""
        with tracking.explained(self.tracking_uri):
            return self._search(f"name = '{_checked(model_name)}'")

    def newest_accepted(self, model_name: str, as_of: datetime, exclude_run_id: str | None = None) -> Version | None:
        """The accepted version that stands for the latest time not after `as_of`, or None.

        Args:
            model_name: the registered model.
            as_of: with a time zone.
            exclude_run_id: a run that shall not find itself.

        Raises:
            UsageError: `as_of` has no time zone.
        """
        if as_of.tzinfo is None:
            raise UsageError(f"as_of={as_of.isoformat()} has no time zone; add one, such as +00:00")
        found = [
            version
            for version in self.versions(model_name)
            if version.accepted and AS_OF in version.tags and version.as_of <= as_of
            if version.run_id != exclude_run_id
        ]
        return max(found, key=lambda version: (version.as_of, version.version), default=None)

    def resolve(self, reference: str) -> Version:
        """The version that `models:/name/3` or `models:/name@champion` names.

        Raises:
            UsageError: there is none; the message lists what there is.
        """
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise UsageError(
                f"{reference!a} is not a model reference; expected models:/name/3 or models:/name@champion"
            )
        name = match["name"]
        found = {version.version: version for version in self.versions(name)}
        if not found:
            raise UsageError(f"{reference}: {self._no_versions(name)}")
        aliases = self.aliases(name)
        number = int(match["version"]) if match["version"] else aliases.get(match["alias"])
        if number not in found:
            listed = [str(one) for one in found] + [f"@{alias} ({one})" for alias, one in sorted(aliases.items())]
            raise UsageError(f"{reference} does not exist; {name} has {', '.join(listed[-20:])}")
        return found[number]

    def aliases(self, model_name: str) -> dict[str, int]:
        """Version by alias; empty where there is no such model."""
        with tracking.explained(self.tracking_uri):
            return self._aliases_of(model_name).read() if self.versions(model_name) else {}

    def model_names(self) -> tuple[str, ...]:
        """Every registered model, by name."""
        with tracking.explained(self.tracking_uri):
            return tuple(sorted(model.name for model in _pages(self._client.search_registered_models)))

    def made_by(self, model_name: str, recipe: str) -> tuple[Version, ...]:
        """The versions that were made by a recipe (`boxwright.packaging.recipe`), by rising number."""
        with tracking.explained(self.tracking_uri):
            found = self._search(f"name = '{_checked(model_name)}' AND tags.`{RECIPE}` = '{recipe}'")
        return tuple(version for version in found if version.tags.get(RECIPE) == recipe)

    def promote(self, reference: str, expected: int | None = None) -> tuple[Version, Version | None]:
        """Makes a version the champion; the champion until now becomes `previous`.

        Args:
            reference: `models:/name/3` or `models:/name@candidate`.
            expected: number of the champion that the caller has seen; unset, whichever it is.

        Returns:
            The version and the champion before, which is the version itself where it was champion already.

        Raises:
            UsageError: there is no such version, it is not accepted, or the champion is another than expected.
            StorageError: another machine moved the champion at the same time.
        """
        with tracking.explained(self.tracking_uri), self._lock:
            version = self.resolve(reference)
            return version, self._aliases_of(version.name).promote(version, expected)

    def rollback(self, model_name: str, reject: bool = False) -> tuple[Version, Version]:
        """Makes `previous` the champion again and the champion `previous`.

        Args:
            model_name: the registered model.
            reject: withdraw the champion that goes: it is no longer accepted, and no later run starts from it.

        Returns:
            The version that went and the one that came.

        Raises:
            UsageError: there is no previous champion, or it was rejected.
            StorageError: another machine moved the champion at the same time.
        """
        with tracking.explained(self.tracking_uri), self._lock:
            if not self.versions(model_name):
                raise UsageError(self._no_versions(model_name))
            return self._aliases_of(model_name).rollback(reject)

    def _create(self, release: Release, mlflow_run: Any) -> Version:
        tracking.ensure_model(self._client, release.model_name)
        made = self._client.create_model_version(
            name=release.model_name,
            source=tracking.source_of(release.archive_uri, mlflow_run),
            run_id=mlflow_run.info.run_id,
            # In one transaction with the version: no crash can leave a version that its run does not find again.
            tags=version_tags(release, tracking.key),
            await_creation_for=0,
        )
        return read_version(made)

    def _aliases_of(self, name: str) -> Aliases:
        from mlflow.exceptions import MlflowException

        return Aliases(self._client, name, lambda: self._search(f"name = '{name}'"), MlflowException)

    def _version_of_run(self, model_name: str, run_id: str) -> Version | None:
        found = self._search(f"name = '{_checked(model_name)}' AND tags.`{RUN_ID}` = '{run_id}'")
        # Some databases compare without case.
        return next((version for version in found if version.run_id == run_id), None)

    def _search(self, query: str) -> tuple[Version, ...]:
        found = [read_version(one) for one in _pages(self._client.search_model_versions, query)]
        return tuple(sorted(found, key=lambda version: version.version))

    def _get(self, name: str, version: int) -> Version:
        return read_version(self._client.get_model_version(name, str(version)))

    def _no_versions(self, name: str) -> str:
        return f"no model {name} has a version; registered are {', '.join(self.model_names()[:20]) or 'none'}"


def _pages(search: Any, *arguments: Any) -> list[Any]:
    """All results of one of MLflow's paged searches."""
    found: list[Any] = []
    token = None
    while True:
        page = search(*arguments, page_token=token)
        found.extend(page)
        token = page.token
        if not token:
            return found


def _check_pictures(release: Release) -> None:
    missing = [str(path) for path in release.pictures if not path.is_file()]
    if missing:
        raise DataError(f"{', '.join(missing)} of run {release.run_id} does not exist; run the evaluation again")


def _checked(model_name: str) -> str:
    if not _REFERENCE.fullmatch(f"models:/{model_name}/1"):
        raise UsageError(f"{model_name!a} is not a model name; use letters, digits, _, . and - only")
    return model_name
