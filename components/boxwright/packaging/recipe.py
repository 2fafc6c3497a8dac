"""What determines a model, as one digest: runs of the same recipe make the same model, so one of them is enough."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from boxwright import __version__
from boxwright.config import RunConfig, RunInfo, Settings
from boxwright.model import hyperparameters_of
from boxwright.storage import exists, stat

if TYPE_CHECKING:
    from boxwright.registry import Version


# What does not change the model, and what is told by other facts: the data by its fingerprint, the seed by the parent.
_NO_MATTER = {
    *("training", "validation", "test", "annotations_file", "output", "weights_uri", "storage", "model_name"),
    *("seed_mode", "parent", "force", "approve", "approve_within_hours"),
}


def recipe_of(config: RunConfig, fingerprint: str, parent: str | None) -> str:
    """Digest of the dataset's content, the settings, the parent and the code version.

    Where the data lies, where results go and what the run is called are no part of it.

    Args:
        config: the run's configuration.
        fingerprint: of the dataset.
        parent: reference or URI of the model that training starts from, if it is an earlier one.
    """
    facts = config.model_dump(mode="json", exclude=_NO_MATTER) | {
        "fingerprint": fingerprint,
        "parent": _identity(parent) if parent else None,
        "hyperparameters": hyperparameters_of(config).model_dump(mode="json"),
        "code_version": __version__,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _identity(parent: str) -> str:
    """A registered version never changes; a file may be written again."""
    return parent if parent.startswith("models:/") else f"{parent}#{stat(parent).etag}"


def find_finished(config: RunConfig, run: RunInfo, fingerprint: str, parent: str | None) -> Version | None:
    """The accepted version that a run of the same recipe made, if its archive is still there; the newest of several.

    A version that stands for a later time than the run is none of them: a backfill that took it would leave a hole in
    the past, where the next interval's run looks for its parent.
    """
    from boxwright.registry import Registry

    if config.force:
        return None
    registry = Registry(Settings.from_environment().tracking_uri)
    made = registry.made_by(config.model_name, recipe_of(config, fingerprint, parent))
    usable = [one for one in made if one.accepted and one.as_of <= run.as_of and one.run_id != run.run_id]
    return next((version for version in reversed(usable) if exists(version.archive_uri)), None)
