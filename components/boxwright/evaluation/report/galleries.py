"""The images of a report: ground truth beside predictions, with what is wrong in red."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from boxwright.dataset.annotations import BBox, ImageRecord
from boxwright.evaluation import Analysis, Measurement
from boxwright.images import WRONG, clip, draw_detections, scaled_picture

_PANEL = (720, 540)  # largest width and height of one side
_GAP = 8
_QUALITY = 82
_BETWEEN = (120, 128, 137)


_Labelled = tuple[BBox, int, str]


@dataclass(frozen=True)
class Pair:
    """One image, ground truth on the left and predictions on the right, as JPEG.

    Attributes:
        file: file name of the image.
        boxes, right, missed, false, confused: how many; `confused` are boxes found under another class.
    """

    file: str
    boxes: int
    right: int
    missed: int
    false: int
    confused: int
    jpeg: bytes

    @property
    def caption(self) -> str:
        """The counts in words."""
        wrong = [
            f"{count} {word}"
            for count, word in ((self.missed, "missed"), (self.false, "false"), (self.confused, "confused"))
            if count
        ]
        return f"{self.right} of {self.boxes} right{''.join(f', {one}' for one in wrong)}"


def worst_images(analysis: Analysis, count: int) -> list[int]:
    """Ids of the images with the most errors, in falling order."""
    return [one.image_id for one in analysis.images[:count]]


def sample_images(measurement: Measurement, count: int, seed: int = 0) -> list[int]:
    """Ids of images drawn at random; the same for the same images."""
    ids = sorted(image.id for image in measurement.annotations.images)
    return sorted(random.Random(seed).sample(ids, min(count, len(ids))))  # noqa: S311 - no secret


def draw_pairs(measurement: Measurement, analysis: Analysis, encoded: Mapping[int, bytes]) -> dict[int, Pair]:
    """Draws images by id.

    Predictions are those of at least the threshold. Boxes have the colour of their class; missed and false ones are
    red and say so.

    Args:
        measurement: knows which boxes were found, and which detections are right.
        analysis: of it.
        encoded: bytes of each image that is drawn, by id.
    """
    truth, found = _labelled_truth(measurement, set(encoded)), _labelled_detections(measurement, set(encoded))
    records = {image.id: image for image in measurement.annotations.images}
    errors = {one.image_id: one for one in analysis.images}
    pairs = {}
    for image_id, data in encoded.items():
        mine, theirs = truth.get(image_id, []), found.get(image_id, [])
        wrong = errors.get(image_id)
        pairs[image_id] = Pair(
            file=records[image_id].file_name,
            boxes=len(mine),
            right=sum(row != WRONG for _, row, _ in theirs),
            missed=wrong.missed if wrong else 0,
            false=wrong.false if wrong else 0,
            confused=wrong.confused if wrong else 0,
            jpeg=_draw(records[image_id], data, mine, theirs),
        )
    return pairs


def _labelled_truth(measurement: Measurement, wanted: set[int]) -> dict[int, list[_Labelled]]:
    status = measurement.diagnostics["gt_status"]
    rows = {category_id: row for row, category_id in enumerate(measurement.annotations.category_ids)}
    labelled: dict[int, list[_Labelled]] = {}
    for number, box in enumerate(measurement.truth.boxes, start=1):
        if box.image_id in wanted:
            missed = status.get(number) == "fn"
            name = clip(measurement.annotations.categories[box.category_id], 18)
            row, text = (WRONG, f"missed {name}") if missed else (rows[box.category_id], name)
            labelled.setdefault(box.image_id, []).append((box.bbox, row, text))
    # What is wrong is drawn last, over the rest.
    return {key: sorted(boxes, key=lambda one: one[1] != WRONG) for key, boxes in labelled.items()}


def _labelled_detections(measurement: Measurement, wanted: set[int]) -> dict[int, list[_Labelled]]:
    status = measurement.diagnostics["dt_status"]
    kept, classes = measurement.kept_detections, measurement.annotations.classes
    labelled: dict[int, list[tuple[float, _Labelled]]] = {}
    columns = (kept.image_rows.tolist(), kept.class_rows.tolist(), kept.boxes.tolist(), kept.scores.tolist())
    for number, (place, row, (x, y, width, height), score) in enumerate(zip(*columns, strict=True), start=1):
        image_id = measurement.truth.image_ids[place]
        if image_id in wanted and number in status:
            text = f"{clip(classes[row], 18)} {score:.2f}"
            shown = row if status[number] == "tp" else WRONG
            labelled.setdefault(image_id, []).append((score, ((x, y, x + width, y + height), shown, text)))
    return {key: [box for _, box in sorted(boxes, key=lambda one: -one[0])] for key, boxes in labelled.items()}


def _draw(record: ImageRecord, encoded: bytes, truth: Sequence[_Labelled], found: Sequence[_Labelled]) -> bytes:
    picture, scale = scaled_picture(encoded, (record.width, record.height), _PANEL)
    both = Image.new("RGB", (2 * picture.width + _GAP, picture.height), _BETWEEN)
    for side, labelled in enumerate((truth, found)):
        panel = picture.copy()
        draw_detections(panel, [(_scaled(box, scale), row, text) for box, row, text in labelled])
        both.paste(panel, (side * (picture.width + _GAP), 0))
    buffer = io.BytesIO()
    both.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()


def _scaled(box: BBox, scale: float) -> BBox:
    xmin, ymin, xmax, ymax = (value * scale for value in box)
    return xmin, ymin, xmax, ymax
