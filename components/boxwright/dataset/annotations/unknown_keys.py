"""Keys that nothing reads: a misspelt one is a mistake that shows nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

_SHOWN = 20  # a file whose keys are data has as many unknown ones as records
# The format's own, and those that COCO has beside them.
_KNOWN = {
    "file": ("images", "annotations", "categories", "info", "licenses"),
    "images": (
        "id", "file_name", "width", "height", "license", "coco_url", "flickr_url", "date_captured"
    ),
    "annotations": ("image_id", "bbox", "category_id", "id", "area", "iscrowd", "segmentation", "score"),
    "categories": ("id", "name", "supercategory", "keypoints", "skeleton"),
}  # fmt: skip


@dataclass(frozen=True)
class UnknownKey:
    """One key: the list it is in ("file" for the whole), the first record with it, and how many have it."""

    list: str
    key: str
    index: int | None
    records: int
    known: tuple[str, ...]


def unknown_keys(document: dict[str, Any]) -> Iterator[UnknownKey]:
    """The unknown keys of a file and of its records; of each list the first 20 by name."""
    for key in islice(sorted(set(document) - set(_KNOWN["file"])), _SHOWN):
        yield UnknownKey("file", key, None, 1, _KNOWN["file"])
    for name in ("images", "annotations", "categories"):
        yield from _of_records(name, document.get(name, []))


def _of_records(name: str, records: list[Any]) -> Iterator[UnknownKey]:
    unknown = set[str]().union(*(record for record in records if isinstance(record, dict))) - set(_KNOWN[name])
    for key in islice(sorted(unknown), _SHOWN):
        having = [index for index, record in enumerate(records) if isinstance(record, dict) and key in record]
        yield UnknownKey(name, key, having[0], len(having), _KNOWN[name])
