"""The table of classes over all splits: what training can learn, and what the other splits would measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from boxwright.dataset.validation.tables import SplitData

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]


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
    """

    split: str
    index: int | None
    category_id: int
    name: str
    training_name: str | None
    boxes: int
    in_training: int
    anywhere: int


def class_rows(splits: Sequence[SplitData]) -> list[ClassRow]:
    """The classes of each split; the first split is what is trained on."""
    counts = {split.name: _counts(split) for split in splits}
    training = splits[0]
    names = _names(training, counts[training.name])
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
                )
            )
    return rows


def class_table(rows: Sequence[ClassRow], training: str) -> pd.DataFrame:
    """The columns that the class rules look at, one row a `ClassRow`."""
    import pandas as pd

    most = max((row.boxes for row in rows if row.split == training), default=0)
    table = pd.DataFrame(
        [_training_columns(row, most) if row.split == training else _other_columns(row) for row in rows],
        columns=["boxes_anywhere", "training_boxes", "times_fewer", "boxes_to_learn_from", "names"],
    )
    return table.astype(np.float64)


def _training_columns(row: ClassRow, most: int) -> dict[str, float]:
    few = {"training_boxes": row.boxes, "times_fewer": most / row.boxes} if row.boxes else {}
    return {"boxes_anywhere": row.anywhere, **few}


def _other_columns(row: ClassRow) -> dict[str, float]:
    if row.training_name is None:
        return {"boxes_to_learn_from": 0}
    learnt = {"boxes_to_learn_from": row.in_training} if row.boxes else {}
    return {"names": len({row.name, row.training_name}), **learnt}


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
