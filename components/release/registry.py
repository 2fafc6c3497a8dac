"""The model registry: MLflow, opened as a database file or through a server alike.

A run has one version, however often and by however many processes it is registered. What Boxwright knows of a version
stands in tags `boxwright.*`, which are made with the version in one transaction; where the archive lies is the tag
`boxwright.archive`, because an MLflow server takes no local path as a version's source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, Field

from components.config import Frozen
from components.errors import DataError, UsageError
from components.release import tracking

CHAMPION, CANDIDATE = "champion", "candidate"
RUN_ID = tracking.RUN_ID
ACCEPTED, AS_OF, ARCHIVE, SETTLED = (f"boxwright.{name}" for name in ("accepted", "as_of", "archive", "settled"))
_METRIC = "boxwright.metric."
_REFERENCE = re.compile(r"models:/(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)(?:/(?P<version>[0-9]{1,9})|@(?P<alias>[\w.-]+))")


class Release(Frozen):
    """The facts of one run's model, as they are registered.

    Attributes:
        run_id: the run, which gets one version.
        archive_uri: its `model.tar.gz`.
        as_of: the time that the run stands for, with a time zone; a backfill's lies in the past.
        metrics: `AP` among them decides about the champion.
        fingerprint: of the dataset.
        parent: what it started from, if from an earlier model.
        config_json: the run's configuration as it was given.
        pictures: files that are kept with the run.
        accepted: False for a model that did not pass its gate or that a person turned down: it is kept to be looked
            at, and becomes neither candidate, nor champion, nor a parent.
    """

    model_name: str
    run_id: str = Field(pattern=r"^[^'\"`\\\s]+$")
    archive_uri: str
    as_of: AwareDatetime
    metrics: dict[str, float]
    fingerprint: str
    parent: str | None
    model_id: str
    classes: list[str]
    config_json: str
    code_version: str
    pictures: list[Path]
    accepted: bool = True


@dataclass(frozen=True)
class Version:
    """One version of a registered model.

    Attributes:
        as_of: the time its run stands for, in UTC; of a version that others made, when it was made.
        run_id: of Boxwright; empty for a version that others made.
    """

    name: str
    version: int
    archive_uri: str
    run_id: str
    as_of: datetime
    tags: dict[str, str]

    @property
    def reference(self) -> str:
        """How MLflow writes this version."""
        return f"models:/{self.name}/{self.version}"

    @property
    def accepted(self) -> bool:
        """Whether it passed its gate, and nobody withdrew it since."""
        return self.tags.get(ACCEPTED) == "true"

    @property
    def ap(self) -> float | None:
        """AP on its evaluation images."""
        value = self.tags.get(f"{_METRIC}AP")
        return None if value is None else float(value)


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
            if SETTLED not in version.tags:
                self._settle(version)
            return self._get(version.name, version.version)

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
            raise UsageError(f"{reference!a} is no model reference; expected models:/name/3 or models:/name@{CHAMPION}")
        name = match["name"]
        found = {version.version: version for version in self.versions(name)}
        if not found:
            raise UsageError(f"{reference}: no model {name} has a version; registered are {self._model_names()}")
        aliases = self._aliases(name)
        number = int(match["version"]) if match["version"] else aliases.get(match["alias"])
        if number not in found:
            listed = [str(one) for one in found] + [f"@{alias} ({one})" for alias, one in sorted(aliases.items())]
            raise UsageError(f"{reference} does not exist; {name} has {', '.join(listed[-20:])}")
        return found[number]

    def _create(self, release: Release, mlflow_run: Any) -> Version:
        tracking.ensure_model(self._client, release.model_name)
        made = self._client.create_model_version(
            name=release.model_name,
            source=tracking.source_of(release.archive_uri, mlflow_run),
            run_id=mlflow_run.info.run_id,
            # In one transaction with the version: no crash can leave a version that its run does not find again.
            tags=_tags(release),
            await_creation_for=0,
        )
        return _version(made)

    def _settle(self, version: Version) -> None:
        """Decides about the aliases; repeated after a crash halfway, it decides the same."""
        if version.accepted:
            self._place(version)
        self._client.set_model_version_tag(version.name, str(version.version), SETTLED, "true")

    def _place(self, version: Version) -> None:
        aliases = self._aliases(version.name)
        if aliases.get(CANDIDATE, 0) < version.version:
            self._client.set_registered_model_alias(version.name, CANDIDATE, str(version.version))
        champion = self._get(version.name, aliases[CHAMPION]) if CHAMPION in aliases else None
        if champion is None or _outdoes(version, champion):
            self._client.set_registered_model_alias(version.name, CHAMPION, str(version.version))

    def _version_of_run(self, model_name: str, run_id: str) -> Version | None:
        found = self._search(f"name = '{_checked(model_name)}' AND tags.`{RUN_ID}` = '{run_id}'")
        # Some databases compare without case.
        return next((version for version in found if version.run_id == run_id), None)

    def _search(self, query: str) -> tuple[Version, ...]:
        found: list[Version] = []
        token = None
        while True:
            page = self._client.search_model_versions(query, page_token=token)
            found.extend(_version(one) for one in page)
            token = page.token
            if not token:
                return tuple(sorted(found, key=lambda version: version.version))

    def _get(self, name: str, version: int) -> Version:
        return _version(self._client.get_model_version(name, str(version)))

    def _aliases(self, name: str) -> dict[str, int]:
        with tracking.explained(self.tracking_uri):
            aliases = self._client.get_registered_model(name).aliases
        return {alias: int(version) for alias, version in aliases.items()}

    def _model_names(self) -> str:
        with tracking.explained(self.tracking_uri):
            return ", ".join(model.name for model in self._client.search_registered_models(max_results=20)) or "none"


def _check_pictures(release: Release) -> None:
    missing = [str(path) for path in release.pictures if not path.is_file()]
    if missing:
        raise DataError(f"{', '.join(missing)} of run {release.run_id} does not exist; run the evaluation again")


def _outdoes(version: Version, champion: Version) -> bool:
    """A champion without a known AP was made one by a person, and stays."""
    if version.ap is None or champion.ap is None:
        return False
    return version.ap >= champion.ap and version.as_of >= champion.as_of


def _tags(release: Release) -> dict[str, str]:
    facts = {
        RUN_ID: release.run_id,
        ACCEPTED: "true" if release.accepted else "false",
        AS_OF: release.as_of.astimezone(UTC).isoformat(),
        ARCHIVE: release.archive_uri,
        **tracking.lineage(release),
        **{f"{_METRIC}{tracking.key(name)}": repr(value) for name, value in release.metrics.items()},
    }
    return {name: value for name, value in facts.items() if value}


def _version(made: Any) -> Version:
    tags = dict(made.tags)
    # What a person wrote over a tag must not hide the other versions.
    try:
        as_of = datetime.fromisoformat(tags[AS_OF]).astimezone(UTC)
    except (KeyError, ValueError):
        as_of = datetime.fromtimestamp(made.creation_timestamp / 1000, UTC)
    return Version(
        name=made.name,
        version=int(made.version),
        archive_uri=tags.get(ARCHIVE, made.source),
        run_id=tags.get(RUN_ID, ""),
        as_of=as_of,
        tags=tags,
    )


def _checked(model_name: str) -> str:
    if not _REFERENCE.fullmatch(f"models:/{model_name}/1"):
        raise UsageError(f"{model_name!a} is no model name; use letters, digits, _, . and - only")
    return model_name
