"""Pictures of what is taken for what: an object beside one of the class that the model takes it for."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boxwright.dataset.annotations import BBox
from boxwright.evaluation import Confusion, Measurement, Names
from boxwright.images import open_image

OBJECTS_EACH = 3
_SIDE, _GAP = 220, 6
_MARGIN = 0.15  # of the longer side, around the object
_QUALITY = 88
_GROUND = (120, 128, 137)


@dataclass(frozen=True)
class Lookalike:
    """An object that goes by another class's name.

    Attributes:
        confusion: the two classes.
        box: its place in `Truth.boxes`.
        score: of the detection that gives it the other name.
        beside: the place of an object of the other class; None where the split has none.
    """

    confusion: Confusion
    box: int
    score: float
    beside: int | None


@dataclass(frozen=True)
class LookalikePicture:
    """The object on the left, one of the class that it is taken for on the right, as JPEG."""

    caption: str
    jpeg: bytes


def find_lookalikes(measurement: Measurement, names: Names, confusions: Sequence[Confusion]) -> list[Lookalike]:
    """The most confident wrong names of each confusion, beside objects that have the name rightly."""
    rows = {name: row for row, name in enumerate(measurement.annotations.classes)}
    ids = {category_id: row for row, category_id in enumerate(measurement.annotations.category_ids)}
    truth = np.array([ids[box.category_id] for box in measurement.truth.boxes], np.int64)
    called = measurement.detections.class_rows[names.detections]
    scores = measurement.detections.scores[names.detections]
    sure_first = np.argsort(-scores, kind="stable")
    crowds = np.array([box.crowd for box in measurement.truth.boxes], np.bool_)
    found = []
    for confusion in confusions:
        true, taken = rows[confusion.true], rows[confusion.called]
        wrong = [n for n in sure_first if truth[names.boxes[n]] == true and called[n] == taken]
        right = [names.boxes[n] for n in sure_first if truth[names.boxes[n]] == taken == called[n]]
        # An object whose class is never named is still what the others are taken for.
        examples = right or np.flatnonzero((truth == taken) & ~crowds).tolist()
        for number, place in enumerate(wrong[:OBJECTS_EACH]):
            beside = int(examples[number % len(examples)]) if examples else None
            found.append(Lookalike(confusion, int(names.boxes[place]), float(scores[place]), beside))
    return found


def images_with(measurement: Measurement, lookalikes: Sequence[Lookalike]) -> list[int]:
    """Ids of the images that the objects are on."""
    boxes = measurement.truth.boxes
    return [boxes[place].image_id for one in lookalikes for place in (one.box, one.beside) if place is not None]


def draw_lookalikes(
    measurement: Measurement, lookalikes: Sequence[Lookalike], encoded: Mapping[int, bytes]
) -> list[LookalikePicture]:
    """Cuts the objects out of their images.

    Args:
        measurement: has the boxes.
        lookalikes: which.
        encoded: bytes of each image of `images_with`, by id.
    """
    return list(_drawn(measurement, lookalikes, encoded))


def _drawn(
    measurement: Measurement, lookalikes: Sequence[Lookalike], encoded: Mapping[int, bytes]
) -> Iterator[LookalikePicture]:
    boxes = measurement.truth.boxes
    files = {image.id: image.file_name for image in measurement.annotations.images}
    for one in lookalikes:
        both = Image.new("RGB", (2 * _SIDE + _GAP, _SIDE), _GROUND)
        for side, place in enumerate((one.box, one.beside)):
            if place is not None and boxes[place].image_id in encoded:
                both.paste(_cut(encoded[boxes[place].image_id], boxes[place].bbox), (side * (_SIDE + _GAP), 0))
        buffer = io.BytesIO()
        both.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
        caption = (
            f"{files[boxes[one.box].image_id]}: {one.confusion.true}, called {one.confusion.called} "
            f"({one.score:.2f}); on the right "
        )
        right = "nothing: the images have none" if one.beside is None else f"a real {one.confusion.called}"
        yield LookalikePicture(caption + right, buffer.getvalue())


def _cut(encoded: bytes, box: BBox) -> Image.Image:
    """The square around a box, as a picture; what lies outside of the image stays gray."""
    corners: NDArray[np.float64] = np.array(box, np.float64)
    centre, sides = (corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]
    half = max(float(sides.max()) * (0.5 + _MARGIN), 2.0)
    left, top = (int(value) for value in np.floor(centre - half))
    side = max(1, round(2 * half))
    with open_image(io.BytesIO(encoded)) as opened:
        picture = opened.convert("RGB")
    square = Image.new("RGB", (side, side), _GROUND)
    square.paste(picture, (-left, -top))
    return square.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
