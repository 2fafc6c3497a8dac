"""Whether a model that was just loaded does what it did when it was measured."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from boxwright.errors import DataError
from boxwright.images import open_image
from boxwright.packaging import SAMPLE_FILE, Sample, read_sample
from boxwright.serving.engine.picture import Picture, RefusedImageError
from boxwright.serving.engine.predictor import Detections, Predictor

# Between the machine that measured and this one, and between a batch of eight and one alone, lie roundings; a wrong
# model, label map or preprocessing lies far beyond these.
MIN_IOU, MAX_SCORE_DIFFERENCE, MIN_SHARE = 0.9, 0.05, 0.9
_COMPARED = 10
_LARGEST = 200_000_000  # pixels
_log = logging.getLogger("boxwright")


def check_predictor(predictor: Predictor, folder: Path, sample_needed: bool = True) -> None:
    """Runs a model on its stored sample.

    It warms the model as well: the first call is much slower than the later ones.

    Args:
        predictor: what was loaded.
        folder: the unpacked archive.
        sample_needed: whether an archive without `sample.json` is refused; else a flat picture stands for it.

    Raises:
        DataError: it has no sample; its output is not a detector's, or the sample's detections are not found again.
    """
    reference = predictor.info.source.reference
    sample = read_sample(folder)
    if sample is None and sample_needed:
        raise DataError(
            f"{reference} has no {SAMPLE_FILE}, by which a model is held against its evaluation; train it again with "
            "this version, or add --trust-saved-model if you know who made it"
        )
    picture = _flat_picture() if sample is None else _picture_of(sample, reference)
    # Twice, since shapes that vary are traced the second time.
    for count in (1, 2):
        seen = predictor.predict([picture] * count)[-1]
    if isinstance(seen, RefusedImageError):
        raise DataError(f"{reference}: its sample.json is broken: {seen}")
    _check_output(seen, predictor)
    if sample is None:
        _log.info("%s has no sample.json; only the form of its output was checked", reference)
    else:
        _compare(seen, sample, predictor)


def _picture_of(sample: Sample, reference: str) -> Picture:
    try:
        with open_image(io.BytesIO(sample.image)) as image:
            size = image.size
    except Exception as error:  # Pillow's decoders raise many types on broken bytes
        raise DataError(
            f"{reference}: the image in its {SAMPLE_FILE} cannot be read ({type(error).__name__})"
        ) from None
    if size[0] * size[1] > _LARGEST:
        raise DataError(f"{reference}: the image in its {SAMPLE_FILE} has {size[0]} x {size[1]} pixels")
    return Picture(sample.image, sample.width, sample.height)


def _flat_picture() -> Picture:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (320, 240), (127, 127, 127)).save(buffer, "PNG")
    return Picture(buffer.getvalue(), 320, 240)


def _check_output(seen: Detections, predictor: Predictor) -> None:
    info, problem = predictor.info, ""
    if not all(np.isfinite(values).all() for values in (seen.boxes, seen.scores)):
        problem = "boxes or scores that are not finite"
    elif seen.boxes.size and (seen.boxes.min() < -1e-3 or seen.boxes.max() > 1 + 1e-3):
        problem = f"boxes outside of [0, 1], up to {np.abs(seen.boxes).max():g}"
    elif seen.classes.size and not (seen.classes.min() >= 0 and seen.classes.max() < len(info.classes)):
        problem = f"class {seen.classes.max() + 1} of {len(info.classes)} in its label map"
    if problem:
        raise DataError(f"{info.source.reference}: the model gives {problem}; package it again")


def _compare(seen: Detections, sample: Sample, predictor: Predictor) -> None:
    expected = sample.detections[:_COMPARED]
    if not expected:
        return
    scale = np.array([sample.width, sample.height] * 2)
    boxes = seen.boxes[:, [1, 0, 3, 2]] * scale
    ids = np.array(predictor.info.category_ids)[seen.classes]
    found = 0
    for one in expected:
        same = (ids == one.category_id) & (np.abs(seen.scores - one.score) <= MAX_SCORE_DIFFERENCE)
        x, y, width, height = one.bbox
        found += bool((same & (_iou(boxes, np.array([x, y, x + width, y + height])) >= MIN_IOU)).any())
    if found < MIN_SHARE * len(expected):
        raise DataError(
            f"{predictor.info.source.reference}: the model finds {found} of the {len(expected)} best "
            "detections of its evaluation in the sample image; it is not the model that was evaluated, package it again"
        )


def _iou(boxes: npt.NDArray[np.float64], box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of xyxy `(n, 4)` with one xyxy box."""
    overlap = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    common = np.clip(overlap, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    result: npt.NDArray[np.float64] = common / np.maximum(areas - common, 1e-9)
    return result
