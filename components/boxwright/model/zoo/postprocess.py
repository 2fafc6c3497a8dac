"""From raw outputs to detections, as the zoo's exported models have it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from boxwright.config import MAX_DETECTIONS
from boxwright.model import suppress

SCORE_THRESHOLD = 1e-8
_CANDIDATES = 1000


def detections(boxes: Any, scores: Any, extents: Any, iou_threshold: float, nms: str = "per_class") -> dict[str, Any]:
    """The best boxes of each image after non-maximum suppression within each class.

    Boxes overlap as they are; what remains is cut at the image's edge, and boxes without area are dropped. All anchors
    compete. Since suppression goes from the best box down, those above the `_CANDIDATES`-th best anchor's score are
    enough whenever `MAX_DETECTIONS` of them remain; only otherwise are the others looked at, which takes far longer
    than the network.

    Args:
        boxes: `(batch, anchors, 4)`, `[ymin, xmin, ymax, xmax]` in shares of the input.
        scores: `(batch, anchors, classes)`.
        extents: `(batch, 2)`, shares of the input `(height, width)` that images cover.
        iou_threshold: overlap above which the weaker box is dropped.
        nms: see `suppress`.

    Returns:
        As `Detector.detect` does.
    """
    count = min(_CANDIDATES, int(scores.shape[1]))
    best, _ = tf.math.top_k(tf.reduce_max(scores, axis=-1), count)
    # One threshold for the batch: the lowest.
    enough = tf.maximum(tf.reduce_min(best[:, -1]), SCORE_THRESHOLD)
    first = _suppressed(boxes, scores, extents, iou_threshold, enough, nms)
    is_whole = tf.reduce_all(first["num_detections"] == MAX_DETECTIONS) | (enough <= SCORE_THRESHOLD)
    found: dict[str, Any] = tf.cond(
        is_whole,
        lambda: first,
        lambda: _suppressed(boxes, scores, extents, iou_threshold, tf.constant(SCORE_THRESHOLD), nms),
    )
    return found


def _suppressed(
    boxes: Any, scores: Any, extents: Any, iou_threshold: float, threshold: Any, nms: str
) -> dict[str, Any]:
    classes = int(scores.shape[-1])
    # Boxes that lie outside the image may be among the best ones.
    limit = MAX_DETECTIONS * min(classes, 10)
    found = suppress(nms, boxes, scores, limit, iou_threshold, threshold, clips=False)
    share = tf.tile(extents, (1, 2))[:, None, :]
    cut = tf.clip_by_value(found.boxes / share, 0.0, 1.0)
    has_area = tf.reduce_all(cut[..., 2:] > cut[..., :2], axis=-1)
    valid = tf.sequence_mask(found.count, tf.shape(cut)[1]) & has_area
    # A stable sort moves the valid rows to the front and keeps their order.
    order = tf.argsort(tf.cast(~valid, tf.int32), axis=-1, stable=True)[:, :MAX_DETECTIONS]
    kept = tf.gather(valid, order, batch_dims=1)
    return {
        "detection_boxes": tf.where(kept[..., None], tf.gather(cut, order, batch_dims=1), 0.0),
        "detection_scores": tf.where(kept, tf.gather(found.scores, order, batch_dims=1), 0.0),
        "detection_classes": tf.where(kept, tf.gather(found.classes, order, batch_dims=1) + 1.0, 0.0),
        "num_detections": tf.reduce_sum(tf.cast(kept, tf.int32), axis=-1),
    }
