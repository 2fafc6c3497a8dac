"""From a detector's raw outputs to detections: decoding against the anchors and non-maximum suppression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from boxwright.config import MAX_DETECTIONS
from boxwright.model.suppression import Suppressed, suppress

CANDIDATES = 1000
IOU_THRESHOLD = 0.5
SCORE_THRESHOLD = 0.001


@dataclass(frozen=True)
class Selection:
    """The selection of detections from the candidates of an image.

    Attributes:
        nms: see `suppress`; `none` where candidates do not compete.
        iou_threshold: overlap above which the weaker box goes.
        score_threshold: a detection has more.
        candidates: number of best places that compete; None for all of them.
        needs_area: whether a box that lies outside the image gives way to the next one.
        max_detections: in an image.
    """

    nms: str
    iou_threshold: float = IOU_THRESHOLD
    score_threshold: float = SCORE_THRESHOLD
    candidates: int | None = CANDIDATES
    needs_area: bool = False
    max_detections: int = MAX_DETECTIONS


def anchor_candidates(outputs: dict[str, Any], anchors: Any, image_size: int) -> tuple[Any, Any]:
    """The boxes of all anchors; arguments as of `decode_anchors`, result as of `Detector.candidates`."""
    boxes = _decode(tf.cast(outputs["box_deltas"], tf.float32), anchors) / float(image_size)
    return boxes, tf.sigmoid(tf.cast(outputs["class_logits"], tf.float32))


def decode_anchors(outputs: dict[str, Any], anchors: Any, image_size: int, nms: str = "per_class") -> dict[str, Any]:
    """Turns raw outputs into at most `MAX_DETECTIONS` boxes an image, best first.

    Suppression runs over the `CANDIDATES` best anchors of an image only: over all of them it takes longer than the
    network itself on a CPU.

    Args:
        outputs: `box_deltas` `(batch, anchors, 4)` and `class_logits` `(batch, anchors, classes)`.
        anchors: `(anchors, 4)`, xyxy in pixels of the model's input.
        image_size: input height and width in pixels.
        nms: see `suppress`.

    Returns:
        Under the TensorFlow Object Detection API's names: `detection_boxes` `(batch, 100, 4)` as
        `[ymin, xmin, ymax, xmax]` in [0, 1], `detection_scores` and `detection_classes` `(batch, 100)`, classes
        1-based as in the label map and 0 in rows without a detection, `num_detections` `(batch,)`.
    """
    scores = tf.sigmoid(tf.cast(outputs["class_logits"], tf.float32))
    count = min(CANDIDATES, int(anchors.shape[0]))
    _, best = tf.math.top_k(tf.reduce_max(scores, axis=-1), count, sorted=False)
    scores = tf.gather(scores, best, batch_dims=1)
    deltas = tf.gather(tf.cast(outputs["box_deltas"], tf.float32), best, batch_dims=1)
    boxes = _decode(deltas, tf.gather(anchors, best)) / float(image_size)
    return as_detections(suppress(nms, boxes, scores, MAX_DETECTIONS, IOU_THRESHOLD, SCORE_THRESHOLD))


def as_detections(found: Suppressed) -> dict[str, Any]:
    """The detections that suppression leaves, under the names of `decode_anchors`."""
    valid = tf.sequence_mask(found.count, MAX_DETECTIONS)
    return {
        "detection_boxes": found.boxes,
        "detection_scores": found.scores,
        "detection_classes": tf.where(valid, found.classes + 1.0, 0.0),
        "num_detections": found.count,
    }


def _decode(deltas: Any, anchors: Any) -> Any:
    """Boxes `(batch, k, 4)` yxyx in pixels, from deltas and xyxy anchors of the same shape."""
    corner, size = anchors[..., :2], anchors[..., 2:] - anchors[..., :2]
    centre = corner + size / 2 + deltas[..., :2] * size
    half = size * tf.exp(tf.minimum(deltas[..., 2:], 8.0)) / 2
    return tf.concat([(centre - half)[..., ::-1], (centre + half)[..., ::-1]], axis=-1)
