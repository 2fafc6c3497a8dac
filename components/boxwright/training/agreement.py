"""Machines that train together have to begin with the same: each tells the others what it has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from boxwright.errors import TrainingError


def check_agreement(strategy: Any, facts: Mapping[str, str]) -> None:
    """Refuses to train with machines that have something else, which would wait for each other, or learn nonsense.

    All of them call it, and wait for each other here.

    Args:
        strategy: of the training; for one machine there is nothing to check.
        facts: what has to be the same, by its name.

    Raises:
        TrainingError: naming what differs.
    """
    if strategy.num_replicas_in_sync == 1:
        return
    own = tf.constant([[_number(text) for text in facts.values()]], tf.int64)
    every = strategy.gather(strategy.run(lambda: own), axis=0).numpy()
    if differing := [name for name, column in zip(facts, every.T, strict=True) if len(set(column.tolist())) > 1]:
        raise TrainingError(
            f"the machines that train together differ in {', '.join(differing)}; give all of them the same data, "
            "settings, start and checkpoints"
        )


def digest_of(model: Any) -> str:
    """A hash of a model's weights."""
    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(weights.tobytes())
    return digest.hexdigest()


def _number(text: str) -> int:
    """The same for the same text; 63 bits."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
