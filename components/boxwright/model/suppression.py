"""Non-maximum suppression: within each class, across classes, or soft. One graph for training's looks and serving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from boxwright.model.soft_suppression import COMPARED_RANGE, SOFT_PAIRS, SOFT_SIGMA

MAX_PER_CLASS = 100
# Boxes of different classes are moved so far apart that they never overlap.
_APART = 4.0


@dataclass(frozen=True)
class Suppressed:
    """The survivors, best first: boxes `(batch, limit, 4)`, scores and 0-based classes `(batch, limit)`, `(batch,)`."""

    boxes: Any
    scores: Any
    classes: Any
    count: Any


def suppress(
    nms: str, boxes: Any, scores: Any, limit: int, iou_threshold: float, score_threshold: Any, clips: bool = True
) -> Suppressed:
    """Takes out the weaker ones of boxes that overlap.

    Args:
        nms: `per_class`: of each class by itself, so that a place may have several names; `agnostic`: each box has its
            best name, and overlapping ones give way whatever their names; `soft`: as `per_class`, but scores fall by
            the overlap where boxes would go.
        boxes: `(batch, n, 4)`, `[ymin, xmin, ymax, xmax]` in shares of the input.
        scores: `(batch, n, classes)`.
        limit: boxes an image that are left at most.
        iou_threshold: overlap above which the weaker box goes; without meaning for `soft`.
        score_threshold: below it nothing counts.
        clips: cut boxes at the edge of the input.

    Raises:
        ValueError: another `nms`.
    """
    if nms == "per_class":
        found = tf.image.combined_non_max_suppression(
            boxes[:, :, None, :],
            scores,
            max_output_size_per_class=min(limit, MAX_PER_CLASS),
            max_total_size=limit,
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            clip_boxes=clips,
        )
        return Suppressed(found.nmsed_boxes, found.nmsed_scores, found.nmsed_classes, found.valid_detections)
    if nms == "agnostic":
        classes = tf.argmax(scores, axis=-1, output_type=tf.int32)
        left = _by_image(boxes, tf.reduce_max(scores, axis=-1), classes, limit, iou_threshold, score_threshold, 0.0)
    elif nms == "soft":
        pairs = int(scores.shape[1]) * int(scores.shape[2])
        best, index = tf.math.top_k(tf.reshape(scores, (-1, pairs)), min(SOFT_PAIRS, pairs))
        classes = index % int(scores.shape[2])
        paired = tf.gather(boxes, index // int(scores.shape[2]), batch_dims=1)
        left = _by_image(paired, best, classes, limit, 1.0, score_threshold, SOFT_SIGMA)
    else:
        raise ValueError(f"nms={nms}: expected per_class, agnostic or soft")
    cut = tf.clip_by_value(left.boxes, 0.0, 1.0) if clips else left.boxes
    return Suppressed(cut, left.scores, left.classes, left.count)


def _by_image(
    boxes: Any, scores: Any, classes: Any, limit: int, iou_threshold: float, score_threshold: Any, sigma: float
) -> Suppressed:
    """Boxes with one class each, image by image; with a `sigma` they overlap within their class only."""
    shift = tf.cast(classes, tf.float32)[..., None] * _APART if sigma else 0.0
    compared = tf.clip_by_value(boxes, *COMPARED_RANGE) + shift

    def one(image: tuple[Any, Any]) -> tuple[Any, Any, Any]:
        index, left, count = tf.raw_ops.NonMaxSuppressionV5(
            boxes=image[0],
            scores=image[1],
            max_output_size=limit,
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            soft_nms_sigma=sigma,
            pad_to_max_output_size=True,
        )
        return tf.ensure_shape(index, (limit,)), tf.ensure_shape(left, (limit,)), count

    shapes = (tf.TensorSpec((limit,), tf.int32), tf.TensorSpec((limit,)), tf.TensorSpec((), tf.int32))
    index, left, count = tf.map_fn(one, (compared, scores), fn_output_signature=shapes)
    valid = tf.sequence_mask(count, limit)
    return Suppressed(
        tf.where(valid[..., None], tf.gather(boxes, index, batch_dims=1), 0.0),
        tf.where(valid, left, 0.0),
        tf.where(valid, tf.cast(tf.gather(classes, index, batch_dims=1), tf.float32), 0.0),
        count,
    )
