"""The classes over all splits: what training can learn, what the others would measure, and what class rules measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boxwright.dataset.validation.model_input import ModelInput
from boxwright.dataset.validation.record_measures import Records
from boxwright.dataset.validation.split_data import SplitData
from boxwright.errors import shorten

_SHOWN = 40
# Classes whose middle boxes differ by more than this in width or height are told apart by their size.
_LIKE_SIZE = 1.5


@dataclass(frozen=True)
class ClassRow:
    """One class of one split.

    Attributes:
        split: its name.
        index: position in the list `categories`; None where the file has none.
        category_id: the class.
        name: as this split has it.
        training_name: as training has it; None where training lacks it.
        boxes: in this split.
        in_training: boxes in training.
        anywhere: boxes in all splits.
        is_training: whether the split is the one that is trained on.
        most_in_training: boxes in training of the class that has most there.
        model_input: the size at which the model sees boxes.
        sides: medians of width and height of its boxes in training, in pixels of the input; None without such.
        short_side: median of the shorter side of these boxes.
        look_alike: of the classes whose boxes in training have like width and height, the nearest; None without such.
    """

    split: str
    index: int | None
    category_id: int
    name: str
    training_name: str | None
    boxes: int
    in_training: int
    anywhere: int
    is_training: bool
    most_in_training: int
    model_input: ModelInput = ModelInput()
    sides: tuple[float, float] | None = None
    short_side: float | None = None
    look_alike: str | None = None


def class_rows(splits: Sequence[SplitData], training_boxes: Records | None = None) -> list[ClassRow]:
    """The classes of each split; the first split is what is trained on.

    Args:
        splits: all of them.
        training_boxes: the boxes of the first one, for their sizes.
    """
    counts = {split.name: _counts(split) for split in splits}
    training = splits[0]
    names = _names(training, counts[training.name])
    most = max((counts[training.name].get(category, 0) for category in names), default=0)
    sizes = _sizes(training_boxes, names) if training_boxes else {}
    rows = []
    for split in splits:
        own = _names(split, counts[split.name]) if split.is_named else names
        first_rows = {category: index for index, category in reversed(list(enumerate(split.categories.ids.tolist())))}
        for category, name in own.items():
            rows.append(
                ClassRow(
                    split=split.name,
                    index=first_rows.get(category),
                    category_id=category,
                    name=name,
                    # A name that was made up for a file without any says nothing.
                    training_name=(names[category] if training.is_named else name) if category in names else None,
                    boxes=counts[split.name].get(category, 0),
                    in_training=counts[training.name].get(category, 0),
                    anywhere=sum(of_split.get(category, 0) for of_split in counts.values()),
                    is_training=split is training,
                    most_in_training=most,
                    **(sizes.get(category, {}) if split is training else {}),
                )
            )
    return rows


# --- what the rules measure, None where a class is not asked ---


def boxes_anywhere(row: ClassRow) -> float | None:
    """Boxes in all splits, of a class of training."""
    return row.anywhere if row.is_training else None


def training_boxes(row: ClassRow) -> float | None:
    """Boxes in training, of a class that has any there."""
    return row.boxes or None if row.is_training else None


def times_fewer(row: ClassRow) -> float | None:
    """The ratio of the boxes of the most frequent class of training to those of a class."""
    return row.most_in_training / row.boxes if row.is_training and row.boxes else None


def telling_side(row: ClassRow) -> float | None:
    """The median of the shorter side in training, in pixels of the input, of a class that has a look-alike there."""
    return row.short_side if row.look_alike else None


def boxes_to_learn_from(row: ClassRow) -> float | None:
    """Boxes in training, of a class that another split has boxes of or that training lacks."""
    if row.is_training:
        return None
    if row.training_name is None:
        return 0
    return row.in_training if row.boxes else None


def different_names(row: ClassRow) -> float | None:
    """The number of names that a class of another split has there and in training."""
    return None if row.is_training or row.training_name is None else len({row.name, row.training_name})


# --- what the advice says of a class; `training` has the classes of training, the most frequent one first ---


def name_in_training(row: ClassRow, training: Sequence[ClassRow]) -> str:
    """The name of the class in training."""
    return f"training calls it {row.training_name!a}"


def ids_in_training(row: ClassRow, training: Sequence[ClassRow]) -> str | None:
    """The ids of training, for a class that is not among them."""
    if row.training_name is not None:
        return None
    return f"training has the ids {shorten([other.category_id for other in training[:_SHOWN]])} only"


def larger_input(row: ClassRow, training: Sequence[ClassRow]) -> str | None:
    """The sizes of the class's boxes, the class that has such too, and what another input size would make of them."""
    if row.sides is None or row.short_side is None:
        return None
    width, height = row.sides
    return (
        f"half of its {row.boxes} boxes in training are at most {row.short_side:.0f} pixels across at "
        f"{row.model_input} ({width:.0f} x {height:.0f} in the middle), and {row.look_alike!a} has boxes of "
        f"like size; twice the image_size makes that {2 * row.short_side:.0f}"
    )


def most_frequent(row: ClassRow, training: Sequence[ClassRow]) -> str:
    """The class that has most boxes in training."""
    return f"{training[0].name!a} has {training[0].boxes} boxes"


def _sizes(boxes: Records, names: Mapping[int, str]) -> dict[int, dict[str, Any]]:
    """The fields of `ClassRow` about sizes, of each class of training that has boxes."""
    ids, sides = boxes.split.boxes.category_ids, boxes.input_sides
    is_sound = np.isfinite(sides).all(axis=1)
    of_classes = {category: sides[is_sound & (ids == category)] for category in names}
    medians = {category: np.median(own, axis=0) for category, own in of_classes.items() if len(own)}
    sizes = {}
    for category, median in medians.items():
        # How many times wider or higher the one is, or the other.
        ratios = {
            other: float(np.exp(np.abs(np.log(median / theirs)).max()))
            for other, theirs in medians.items()
            if other != category
        }
        nearest = min(ratios, key=lambda other: ratios[other], default=None)
        alike = nearest is not None and ratios[nearest] <= _LIKE_SIZE
        sizes[category] = {
            "model_input": boxes.model_input,
            "sides": (float(median[0]), float(median[1])),
            "short_side": float(np.median(of_classes[category].min(axis=1))),
            "look_alike": names[nearest] if alike and nearest is not None else None,
        }
    return sizes


def _counts(split: SplitData) -> dict[int, int]:
    """Boxes of each category id; records that could not be read are not counted."""
    ids = split.boxes.category_ids
    values, counts = np.unique(ids[ids >= 0], return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _names(split: SplitData, counts: dict[int, int]) -> dict[int, str]:
    if not split.is_named:
        return {category: f"class_{category}" for category in counts}
    found: dict[int, str] = {}
    for category, name in zip(split.categories.ids.tolist(), split.categories.names, strict=True):
        if name is not None:
            found.setdefault(category, name)
    return found
