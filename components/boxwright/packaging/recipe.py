"""The recipe of a model, as one digest: runs of the same recipe make the same model, so one of them is enough."""

from __future__ import annotations

import hashlib
import json

from boxwright.config import RunConfig, is_registered
from boxwright.model import hyperparameters_of
from boxwright.packaging.code_digest import code_digest
from boxwright.storage import stat

# The settings of `RunConfig` that change the model, beside those that the other facts of a recipe stand for: which
# records of the dataset are trained on is in its fingerprint, and where training starts is the parent. A setting that
# is added changes no recipe until it is named here; tests/packaging/test_recipe.py asks for the decision.
MODEL_SETTINGS = ("model_id", "hyperparameters", "on_class_change", "keep_threshold")


def recipe_of(config: RunConfig, fingerprint: str, parent: str | None, weights: str | None) -> str:
    """Digest of the dataset's content, the settings that change the model, its start and the code that trains.

    Args:
        config: the run's configuration; settings that were not made are those of the model id.
        fingerprint: of the dataset as it is trained on: without what was dropped, its boxes as corners.
        parent: reference or URI of the model that training starts from, if it is an earlier one.
        weights: identity of the published weights that it starts from otherwise (`boxwright.model.published_identity`).
    """
    settings = config.model_dump(mode="json", include=set(MODEL_SETTINGS))
    facts = settings | {
        "hyperparameters": hyperparameters_of(config).model_dump(mode="json"),
        "fingerprint": fingerprint,
        "parent": _identity(parent) if parent else None,
        "weights": None if parent else weights,
        "code": code_digest(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _identity(parent: str) -> str:
    """A registered version never changes; a file may be written again."""
    return parent if is_registered(parent) else f"{parent}#{stat(parent).etag}"
