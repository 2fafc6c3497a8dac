"""A version's facts as tags `boxwright.*`, written with the version in one transaction and read back from it.

Where the archive lies is a tag too, because an MLflow server takes no local path as a version's source.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from boxwright.registry.port import ACCEPTED, ARCHIVE, AS_OF, FORMATS, METRIC, PARENT, RECIPE, RUN_ID, Release, Version


def lineage_tags(release: Release) -> dict[str, str]:
    """The origin of a model, as tags; unknown facts have none."""
    facts = {
        "boxwright.fingerprint": release.fingerprint,
        PARENT: release.parent,
        "boxwright.model_id": release.model_id,
        "boxwright.classes": json.dumps(release.classes),
        "boxwright.label_map": json.dumps({"labels": release.classes, "category_ids": release.category_ids}),
        "boxwright.config": release.config_json,
        "boxwright.hyperparameters": json.dumps(release.hyperparameters) if release.hyperparameters else None,
        RECIPE: release.recipe,
        FORMATS: json.dumps([one.model_dump() for one in release.formats]) if release.formats is not None else None,
        "boxwright.code_version": release.code_version,
        "boxwright.run_url": release.run_url,
        "boxwright.rejected_by": release.rejected_by,
        "boxwright.study": release.study,
        "boxwright.tuned": release.tuned,
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


def read_version(
    name: str, number: str, source: str, created: int, tags: Mapping[str, str], aliases: Iterable[str] = ()
) -> Version:
    """A version from what MLflow holds of it.

    Args:
        name: the registered model.
        number: of the version.
        source: where its files lie, for a version that others made.
        created: milliseconds since 1970.
        tags: by name.
        aliases: that point at it.
    """
    # What a person wrote over a tag must not hide the other versions.
    try:
        as_of = datetime.fromisoformat(tags[AS_OF]).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        as_of = _moment(created)
    return Version(
        name=name,
        version=int(number),
        archive_uri=tags.get(ARCHIVE, source),
        run_id=tags.get(RUN_ID, ""),
        as_of=as_of,
        tags=dict(tags),
        aliases=tuple(sorted(aliases)),
    )


def _moment(milliseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
