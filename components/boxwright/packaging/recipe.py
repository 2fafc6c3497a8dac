"""The recipe of a model, as one digest: runs of the same recipe make the same model, so one of them is enough."""

from __future__ import annotations

import hashlib
import json

from boxwright import __version__
from boxwright.config import RunConfig, is_registered
from boxwright.model import hyperparameters_of
from boxwright.storage import stat

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
    return parent if is_registered(parent) else f"{parent}#{stat(parent).etag}"
