"""What the registry keeps of a version: the facts of its run, written as tags and read back from them.

Tags `boxwright.*` are made with the version in one transaction; where the archive lies is the tag `boxwright.archive`,
because an MLflow server takes no local path as a version's source.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, Field

from boxwright.config import Frozen

RUN_ID = "boxwright.run_id"
ACCEPTED, AS_OF, ARCHIVE, SETTLED = (f"boxwright.{name}" for name in ("accepted", "as_of", "archive", "settled"))
PARENT, RECIPE = "boxwright.parent", "boxwright.recipe"
METRIC = "boxwright.metric."


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
    def settled(self) -> bool:
        """Whether its aliases were decided."""
        return SETTLED in self.tags

    @property
    def parent(self) -> str | None:
        """What it started from, if from an earlier model."""
        return self.tags.get(PARENT)

    @property
    def ap(self) -> float | None:
        """AP on its evaluation images."""
        return self.metrics.get("AP")

    @property
    def metrics(self) -> dict[str, float]:
        """Every metric that was registered; a tag that a person wrote over with something else counts as none."""
        written = {tag.removeprefix(METRIC): value for tag, value in self.tags.items() if tag.startswith(METRIC)}
        return {name: number for name, value in written.items() if (number := _number(value)) is not None}


def lineage_tags(release: Release) -> dict[str, str]:
    """Where a model comes from, as tags; what is not known has none."""
    facts = {
        "boxwright.fingerprint": release.fingerprint,
        PARENT: release.parent,
        "boxwright.model_id": release.model_id,
        "boxwright.classes": json.dumps(release.classes),
        "boxwright.label_map": json.dumps({"labels": release.classes, "category_ids": release.category_ids}),
        "boxwright.config": release.config_json,
        "boxwright.hyperparameters": json.dumps(release.hyperparameters) if release.hyperparameters else None,
        RECIPE: release.recipe,
        "boxwright.code_version": release.code_version,
        "boxwright.run_url": release.run_url,
        "boxwright.rejected_by": release.rejected_by,
        "boxwright.interval_start": release.interval_start and _utc(release.interval_start),
    }
    return {name: value for name, value in facts.items() if value}


def version_tags(release: Release, metric_key: Any) -> dict[str, str]:
    """All tags of a new version.

    Args:
        release: its facts.
        metric_key: turns a metric's name into one that the registry takes.
    """
    return {
        RUN_ID: release.run_id,
        ACCEPTED: "true" if release.accepted else "false",
        AS_OF: _utc(release.as_of),
        ARCHIVE: release.archive_uri,
        **lineage_tags(release),
        **{f"{METRIC}{metric_key(name)}": repr(value) for name, value in release.metrics.items()},
    }


def read_version(made: Any) -> Version:
    """A version as MLflow returns it."""
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


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
