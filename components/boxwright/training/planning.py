"""How an epoch goes through the examples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from boxwright.config import Hyperparameters
from boxwright.dataset.examples import CheckedShards, ExamplesSummary, shards_of
from boxwright.model import ModelCard
from boxwright.training.cutting import cut_split
from boxwright.training.sampling import Repeats, repeat_rare

# Image passes of the default training on BCCD (docs/measurements.md): AP 0.569 after 4,100, 0.544 after 2,496, 0.435
# after 1,248.
ENOUGH_PASSES, FEW_PASSES = 4_000, 2_000


@dataclass(frozen=True)
class Keeping:
    """The parent whose classes are kept.

    Attributes:
        parent_dir: folder of its model.
        threshold: score from which what it finds is a label.
    """

    parent_dir: Path
    threshold: float


@dataclass(frozen=True)
class Plan:
    """The examples, and how an epoch goes through them.

    Attributes:
        examples: summary of the examples.
        shards: files of each split.
        images: that they hold: those of the split, or what a model with tiles looks at of them.
        batch_size: images a step.
        repeats: how often an epoch goes through each image; None for once.
    """

    examples: ExamplesSummary
    shards: dict[str, CheckedShards]
    images: dict[str, int]
    batch_size: int
    repeats: Repeats | None = None

    @property
    def epoch_images(self) -> int:
        """Images that an epoch goes through."""
        return sum(self.repeats.counts) if self.repeats else self.images["training"]

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return math.ceil(self.epoch_images / self.batch_size)

    @property
    def validation_steps(self) -> int:
        """Of a look at the validation images."""
        return math.ceil(self.images["validation"] / self.batch_size)


def make_plan(
    examples: ExamplesSummary,
    examples_dir: Path,
    card: ModelCard,
    hyperparameters: Hyperparameters,
    scratch_dir: Path,
    keeping: Keeping | None = None,
) -> Plan:
    """How an epoch goes through the examples; those of a model with tiles are cut first.

    Args:
        examples: summary of the examples.
        examples_dir: folder of them.
        card: of the model.
        hyperparameters: of the run.
        scratch_dir: folder for examples that are written anew.
        keeping: the parent that labels what the dataset does not, if any.
    """
    shards = {split: shards_of(examples_dir, split) for split in ("training", "validation")}
    images = {split: examples.splits[split].images for split in shards}
    if keeping is not None:
        from boxwright.training.keeping import keep_labels

        labelled_dir = scratch_dir / "labelled"
        shards = keep_labels(shards, examples.classes, keeping.parent_dir, keeping.threshold, labelled_dir)
    if card.tiling is not None:
        for split, whole in shards.items():
            shards[split] = cut_split(whole, images[split], card, hyperparameters.seed, scratch_dir / "cut" / split)
            images[split] = shards[split].images
    threshold, seed = hyperparameters.repeat_threshold, hyperparameters.seed
    repeats = repeat_rare(shards["training"], examples.classes, threshold, seed) if threshold else None
    return Plan(examples, shards, images, min(hyperparameters.batch_size, images["training"]), repeats)


def few_passes(epoch_images: int, epochs: int) -> str | None:
    """A warning where new heads see too few images to learn from, whatever they show; None where it is enough."""
    passes = epoch_images * epochs
    if passes >= FEW_PASSES:
        return None
    enough = math.ceil(ENOUGH_PASSES / epoch_images)
    return (
        f"epochs={epochs} shows {epoch_images} images {passes:,} times in all; heads that begin anew learn until some "
        f"{ENOUGH_PASSES:,}, so expect more of epochs={enough}"
    )
