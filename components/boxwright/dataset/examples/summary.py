"""The summary of a folder of examples: `examples.json`."""

from __future__ import annotations

from boxwright.config import Frozen
from boxwright.dataset.validation import Dropped
from boxwright.storage import StoredRecord


class SplitCounts(Frozen):
    """The numbers of images, boxes (crowds too) and shards of a split."""

    images: int
    boxes: int
    shards: int


class ExamplesSummary(StoredRecord):
    """The content of `examples.json`.

    Attributes:
        fingerprint: of the dataset that they were made from.
        classes: names; label i (from 1) is `classes[i - 1]`.
        category_ids: the annotations' own id of each class.
        splits: counts of each split.
        dropped: records that validation left out, as its report has them.
        normalised: how many images were encoded anew, by reason.
    """

    FILE = "examples.json"
    ADVICE = "build the examples again"

    fingerprint: str
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    splits: dict[str, SplitCounts]
    dropped: tuple[Dropped, ...] = ()
    normalised: dict[str, int] = {}
