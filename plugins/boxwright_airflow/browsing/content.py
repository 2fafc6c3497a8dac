"""The content of a split as it is shown: its images with their boxes and what is wrong with them, filtered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from boxwright.config import ANNOTATIONS_FILE, ValidationConfig
from boxwright.dataset.annotations import (
    Annotations,
    ImageRecord,
    annotations_uri,
    corners_of,
    evidence_of,
    judge,
    read_document,
    scan_document,
)
from boxwright.dataset.validation import Finding
from boxwright.images import IMAGE_STARTS
from boxwright.storage import join, read_bytes, stat
from boxwright_airflow.allowed import allowed_here

# A file of some hundred thousand boxes: more is not held in the memory of Airflow's server.
ANNOTATIONS_LIMIT = 32_000_000  # bytes
IMAGE_LIMIT = 32_000_000
BBOX_FORMAT: str = ValidationConfig.model_fields["bbox_format"].default
WITHOUT_BOXES = "(without boxes)"


@dataclass(frozen=True)
class Outline:
    """A box as it is drawn: in pixels of the declared size, with the row of its class for the colour."""

    left: float
    top: float
    width: float
    height: float
    label: str
    row: int
    crowd: bool


@dataclass(frozen=True)
class Picture:
    """An image of the split, its boxes, and the problems that name it."""

    image: ImageRecord
    boxes: tuple[Outline, ...]
    problems: tuple[str, ...] = ()
    rules: frozenset[str] = frozenset()

    def shows(self, label: str, rule: str) -> bool:
        """Whether a filter takes it; an empty one takes everything."""
        labels = {box.label for box in self.boxes} or {WITHOUT_BOXES}
        return (not label or label in labels) and (not rule or rule in self.rules)


@dataclass(frozen=True)
class Split:
    """All images of a split.

    Attributes:
        uri: of its folder.
        pictures: in the file's order.
        problems: what is wrong with the file as a whole, or with records that no image can be found for.
    """

    uri: str
    pictures: tuple[Picture, ...]
    problems: tuple[str, ...]

    @cached_property
    def labels(self) -> list[tuple[str, int]]:
        """The number of images that show each class, by class; with those that show none at the end."""
        counts = Counter(label for one in self.pictures for label in {box.label for box in one.boxes})
        empty = sum(not one.boxes for one in self.pictures)
        return [*sorted(counts.items()), *([(WITHOUT_BOXES, empty)] if empty else [])]

    @cached_property
    def rules(self) -> list[tuple[str, int]]:
        """The number of images that break each rule, by rule."""
        return sorted(Counter(rule for one in self.pictures for rule in one.rules).items())


def read_split(
    uri: str,
    annotations_file: str = ANNOTATIONS_FILE,
    bbox_format: str = BBOX_FORMAT,
    findings: Iterable[Finding] = (),
) -> Split:
    """Reads a split for people to look at; broken records are told, and do not keep the others from being seen.

    Args:
        uri: of its folder.
        annotations_file: name of its annotations file.
        bbox_format: as runs have it; boxes that are clearly of the other format are drawn as such, and it is said.
        findings: of its validation, if it was validated; those of the file's form are found here.

    Raises:
        BoxwrightError: the administrator's list does not have the place, or its annotations file cannot be read.
    """
    allowed_here().check_place(uri)
    file = annotations_uri(uri, annotations_file)
    allowed_here().check_place(file)
    plain = _read(uri, file, stat(file).etag, bbox_format)
    return _with_findings(plain, list(findings))


def read_image(split: Split, file_name: str) -> tuple[bytes, str]:
    """The bytes of an image that the split's annotations name, and their media type.

    They go to the browser as they are: nothing of an untrusted image is decoded here.

    Raises:
        BoxwrightError: it cannot be read.
        LookupError: the annotations name no such image, or it is neither JPEG nor PNG.
    """
    if not any(one.image.file_name == file_name for one in split.pictures):
        raise LookupError(f"{split.uri} names no image {file_name!a}")
    uri = join(split.uri, "images", file_name)
    allowed_here().check_place(uri)
    data = read_bytes(uri, IMAGE_LIMIT)
    kind = next((kind for kind, start in IMAGE_STARTS.items() if data.startswith(start)), None)
    if kind is None:
        raise LookupError(f"{file_name!a} is neither JPEG nor PNG")
    return data, f"image/{kind.lower()}"


# Two, as people go back and forth between the splits of one dataset.
@lru_cache(maxsize=2)
def _read(uri: str, file: str, _etag: str, bbox_format: str) -> Split:
    annotations, faults = scan_document(read_document(read_bytes(file, ANNOTATIONS_LIMIT), file))
    outlines, undrawn = _outlines(annotations, bbox_format)
    pictures = tuple(Picture(image, tuple(outlines[image.id])) for image in annotations.images)
    return Split(uri, pictures, (*map(str, faults), *undrawn))


def _outlines(annotations: Annotations, bbox_format: str) -> tuple[dict[int, list[Outline]], list[str]]:
    """The boxes of each image id, and a line for every one that cannot be drawn."""
    outlines: dict[int, list[Outline]] = {image.id: [] for image in annotations.images}
    images = {image.id: image for image in annotations.images}
    numbers = np.array([box.bbox for box in annotations.boxes], np.float64).reshape(-1, 4)
    owners = [images[box.image_id] for box in annotations.boxes]
    sizes = np.array([(owner.width, owner.height) for owner in owners], np.float64).reshape(-1, 2)
    config = ValidationConfig.model_validate({"bbox_format": bbox_format})
    verdict = judge({"": evidence_of(numbers, sizes, config.box_tolerance)}, config)[""]
    reading = verdict.reading or (verdict.mistaken_for if verdict.mistaken_for in ("corners", "coco") else None)
    if reading is None:
        return outlines, [f"no box is drawn, as their format is not known: {verdict.counts}"]
    undrawn = [f"boxes are drawn as {reading}, not as {bbox_format}: {verdict.counts}"] if verdict.counts else []
    rows = {category: row for row, category in enumerate(annotations.category_ids)}
    for box, corners in zip(annotations.boxes, corners_of(numbers, reading).tolist(), strict=True):
        left, top, right, bottom = corners
        place = (left, top, right - left, bottom - top)
        if not np.isfinite(place).all() or min(place[2:]) <= 0:
            undrawn.append(f"annotations[{box.index}] of {images[box.image_id].file_name}: no area that can be drawn")
            continue
        label = annotations.categories.get(box.category_id, f"unknown class {box.category_id}")
        outlines[box.image_id].append(Outline(*place, label, rows.get(box.category_id, len(rows)), box.crowd))
    return outlines, undrawn


def _with_findings(split: Split, findings: Sequence[Finding]) -> Split:
    by_file: dict[str, list[Finding]] = {}
    for found in findings:
        if found.file:
            by_file.setdefault(found.file, []).append(found)
    pictures = tuple(_with_problems(one, by_file) for one in split.pictures)
    others = [str(found) for found in findings if not found.file]
    return Split(split.uri, pictures, (*split.problems, *others))


def _with_problems(picture: Picture, by_file: Mapping[str, Sequence[Finding]]) -> Picture:
    found = by_file.get(picture.image.file_name, ())
    return Picture(
        picture.image,
        picture.boxes,
        tuple(f"{one.severity}: {one.rule}; {one.advice}" for one in found),
        frozenset(one.rule for one in found),
    )
