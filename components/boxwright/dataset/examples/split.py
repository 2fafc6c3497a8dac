"""Holds out a part of the training images for validation, by their content."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from boxwright.dataset.annotations import Annotations
from boxwright.errors import DataError


@dataclass(frozen=True)
class _Group:
    """Images with the same content; they stay together, so that validation never sees a training image."""

    position: float
    digest: str
    image_ids: tuple[int, ...]
    classes: frozenset[int]


def split_by_content(
    annotations: Annotations, digests: Mapping[str, str], share: float
) -> tuple[Annotations, Annotations]:
    """Splits into training and validation.

    An image's side depends on its own content alone, so adding images moves no other one; except where a side would
    have no boxes, or training would lack a class that validation has.

    Args:
        annotations: all images.
        digests: SHA-256 of each image file in hexadecimal, by file name.
        share: of the images that go to validation, in (0, 1), met on average.

    Returns:
        (training, validation), both with images in the given order and boxes renumbered from 0.

    Raises:
        DataError: there are not two different images with boxes.
    """
    groups = _groups(annotations, digests)
    labelled = [group for group in groups if group.classes]
    if len(labelled) < 2:
        raise DataError(
            f"training: expected at least two different images with boxes to hold one out for validation, "
            f"got {len(labelled)}; add images or give a validation dataset"
        )
    held = {group.digest for group in groups if group.position < share}
    if all(group.digest in held for group in labelled):
        held.discard(labelled[-1].digest)
    _return_missing_classes(labelled, held)
    if not any(group.digest in held for group in labelled):
        held.add(_spare(labelled).digest)
    out = {image_id for group in groups if group.digest in held for image_id in group.image_ids}
    kept = {image.id for image in annotations.images} - out
    return _part(annotations, kept), _part(annotations, out)


def _groups(annotations: Annotations, digests: Mapping[str, str]) -> list[_Group]:
    by_digest: dict[str, list[int]] = defaultdict(list)
    for image in annotations.images:
        by_digest[digests[image.file_name]].append(image.id)
    boxes = annotations.boxes_by_image
    return [
        _Group(
            position=int(digest[:16], 16) / 2**64,
            digest=digest,
            image_ids=tuple(image_ids),
            classes=frozenset(box.category_id for image_id in image_ids for box in boxes[image_id] if not box.crowd),
        )
        for digest, image_ids in sorted(by_digest.items())
    ]


def _return_missing_classes(labelled: list[_Group], held: set[str]) -> None:
    """Moves images back to training until it has every class."""
    seen = {category_id for group in labelled if group.digest not in held for category_id in group.classes}
    for group in reversed(labelled):
        if group.digest in held and group.classes - seen:
            held.discard(group.digest)
            seen |= group.classes


def _spare(labelled: list[_Group]) -> _Group:
    """The first image whose classes others have too; the first of all where there is none."""
    counts = Counter(category_id for group in labelled for category_id in group.classes)
    return next((group for group in labelled if all(counts[key] > 1 for key in group.classes)), labelled[0])


def _part(annotations: Annotations, image_ids: set[int]) -> Annotations:
    boxes = [box for box in annotations.boxes if box.image_id in image_ids]
    return replace(
        annotations,
        images=tuple(image for image in annotations.images if image.id in image_ids),
        boxes=tuple(replace(box, index=index) for index, box in enumerate(boxes)),
    )
