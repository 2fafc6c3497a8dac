"""Repeat-factor sampling (LVIS, arxiv.org/abs/1908.03195, section 5): images with rare classes come more than once."""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from boxwright.config import Frozen
from boxwright.training.records import LABELS, examples_of

log = logging.getLogger("boxwright.training")


class ClassShare(Frozen):
    """How often a class is shown.

    Attributes:
        images: examples that have it.
        shown: of those that an epoch goes through.
    """

    images: int
    shown: int


@dataclass(frozen=True)
class Repeats:
    """How often an epoch goes through each example.

    Attributes:
        counts: by the example's place in the shards, one at least.
        classes: by name, those that have examples.
    """

    counts: tuple[int, ...]
    classes: dict[str, ClassShare]


def repeat_rare(shards: Sequence[Path], names: Sequence[str], threshold: float, seed: int) -> Repeats:
    """The repeats of examples by their rarest class: the root of `threshold` over the share of examples that have it.

    Of a repeat of 1.4 every example has one, and some 4 of 10 another, drawn once by the seed.

    Args:
        shards: TFRecord files.
        names: of the classes, by index.
        threshold: share of the examples below which a class is rare.
        seed: of the run.
    """
    labels = [frozenset(int(label) - 1 for label in example.get(LABELS, [])) for example in examples_of(shards)]
    having = Counter(label for found in labels for label in found)
    factors = {label: max(1.0, math.sqrt(threshold * len(labels) / count)) for label, count in having.items()}
    counts = tuple(
        _drawn(max((factors[label] for label in found), default=1.0), f"{seed}:{number}")
        for number, found in enumerate(labels)
    )
    shown = Counter[int]()
    for found, count in zip(labels, counts, strict=True):
        shown.update(dict.fromkeys(found, count))
    classes = {names[label]: ClassShare(images=having[label], shown=shown[label]) for label in sorted(having)}
    _say(classes, len(labels), sum(counts), threshold)
    return Repeats(counts, classes)


def _drawn(factor: float, place: str) -> int:
    digest = hashlib.sha256(place.encode()).digest()
    chance = int.from_bytes(digest[:8]) / 2**64
    return math.floor(factor) + (chance < factor % 1)


def _say(classes: dict[str, ClassShare], images: int, shown: int, threshold: float) -> None:
    rare = {name: share for name, share in classes.items() if share.images < threshold * images}
    if not rare:
        log.info("repeat_threshold=%g: every class is in at least this share of the examples", threshold)
        return
    told = ", ".join(
        f"{name} {share.images} of {images} ({share.shown} of {shown} with repeats)" for name, share in rare.items()
    )
    log.info("repeat_threshold=%g shows rare classes more often; examples that have them: %s", threshold, told)
