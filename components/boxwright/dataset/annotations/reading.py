"""The annotations file: where it is, and how untrusted bytes become records.

The format is `{"images": [{"file_name", "height", "width", "id"}], "annotations": [{"image_id", "bbox": [xmin, ymin,
xmax, ymax], "category_id"}], "categories": [{"id", "name"}]}` with boxes as corners in pixels; `categories` may be
missing.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from boxwright.config import ANNOTATIONS_FILE
from boxwright.dataset.annotations.parsing import read_document, scan_document
from boxwright.dataset.annotations.records import Annotations, Box, Fault, ImageRecord
from boxwright.errors import DataError, shorten
from boxwright.storage import exists, join, read_bytes, write_json

__all__ = [
    "Annotations",
    "Box",
    "Fault",
    "ImageRecord",
    "adopt_classes",
    "annotations_of",
    "annotations_uri",
    "class_faults",
    "faults_error",
    "load_annotations",
    "parse_annotations",
    "read_annotations",
    "save_annotations",
]
_log = logging.getLogger("boxwright")
SIZE_LIMIT = 1 << 30
SHOWN = 10


def faults_error(source: str, faults: Sequence[object], hint: str = "") -> DataError:
    """One line that names the first few of `faults` and how many there are."""
    shown = " | ".join(str(fault) for fault in faults[:SHOWN])
    more = f" | and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return DataError(f"{source}: {len(faults)} bad record{'s' * (len(faults) != 1)}: {shown}{more}{hint}")


def annotations_uri(split_uri: str, name: str = ANNOTATIONS_FILE) -> str:
    """URI of a split's annotations file.

    A name other than the default may be missing in some splits; there the default name is taken, and the log says so.

    Raises:
        DataError: neither is there.
    """
    for candidate in dict.fromkeys((name, ANNOTATIONS_FILE)):
        uri = join(split_uri, candidate)
        if exists(uri):
            if candidate != name:
                _log.warning("%s is not there; %s is taken", join(split_uri, name), uri)
            return uri
    raise DataError(f"{join(split_uri, name)} does not exist; expected {name} beside a folder images/")


def read_annotations(uri: str) -> Annotations:
    """Reads a whole annotations file from storage.

    Raises:
        DataError: as `parse_annotations`.
    """
    return parse_annotations(read_bytes(uri, SIZE_LIMIT), uri)


def load_annotations(path: Path) -> Annotations:
    """Reads a local annotations file, as the steps of a run hand it on."""
    return read_annotations(str(path))


def save_annotations(annotations: Annotations, path: Path) -> None:
    """Writes an annotations file, atomically and with bytes that depend on the content only."""
    write_json(path, annotations.to_dict())


def parse_annotations(data: bytes, source: str) -> Annotations:
    """Turns untrusted bytes into records that can be used as they are.

    Args:
        data: the file.
        source: its name in errors.

    Raises:
        DataError: naming the first ten faults, with index and value, and their count.
    """
    return annotations_of(read_document(data, source), source)


def annotations_of(document: dict[str, Any], source: str) -> Annotations:
    """Makes records of a document that `read_document` has read.

    Raises:
        DataError: as `parse_annotations`.
    """
    annotations, faults = scan_document(document)
    faults = [*faults, *_unusable_values(annotations)]
    if not faults and not annotations.images:
        raise DataError(f"{source}: images is empty; expected at least one image")
    if faults:
        raise faults_error(source, faults)
    return annotations


def _unusable_values(annotations: Annotations) -> list[Fault]:
    faults = []
    for box in annotations.boxes:
        if not all(math.isfinite(value) for value in box.bbox):
            faults.append(Fault("box_not_finite", "annotations", box.index, list(box.bbox), "give four finite numbers"))
        if box.category_id not in annotations.categories:
            advice = f"use one of the ids {list(annotations.category_ids)} or add it to categories"
            faults.append(Fault("category_id_unknown", "annotations", box.index, box.category_id, advice))
    return faults


def adopt_classes(by_split: Mapping[str, Annotations]) -> dict[str, Annotations]:
    """Gives splits whose files have no `categories` those of the first split, which is training."""
    (_, first), *_ = by_split.items()
    return {
        split: found if found.named else dataclasses.replace(found, categories=first.categories)
        for split, found in by_split.items()
    }


def class_faults(by_split: Mapping[str, Annotations]) -> list[Fault]:
    """Findings about classes of later splits that the first one does not have; they may lack classes, not add any.

    The fault's value names the split.
    """
    (_, first), *others = by_split.items()
    faults = []
    for split, other in others:
        for category_id, name in sorted(other.categories.items()):
            known = first.categories.get(category_id)
            # Names that were made up for a file without any say nothing.
            if known is None or (first.named and other.named and known != name):
                got = {"split": split, "id": category_id, "name": name}
                expected = f"the name {known!a}" if known else f"the ids {shorten(list(first.category_ids))} only"
                advice = f"training has {expected}; make them agree"
                faults.append(Fault("classes agree over splits", "categories", None, got, advice))
    return faults
