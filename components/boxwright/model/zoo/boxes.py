"""Boxes against anchors: overlap, matching, the code of Faster R-CNN. All boxes are `[ymin, xmin, ymax, xmax]`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

MATCH_IOU = 0.5
_EPSILON = 1e-8


def encode(boxes: Any, anchors: Any, scales: Any) -> Any:
    """The code `(..., 4)` `(ty, tx, th, tw)` of boxes against anchors (arxiv.org/abs/1506.01497, section 3.1.2)."""
    centres, sizes = _centres_and_sizes(boxes)
    anchor_centres, anchor_sizes = _centres_and_sizes(anchors)
    sizes, anchor_sizes = sizes + _EPSILON, anchor_sizes + _EPSILON
    code = tf.concat([(centres - anchor_centres) / anchor_sizes, tf.math.log(sizes / anchor_sizes)], axis=-1)
    return code * scales


def decode(code: Any, anchors: Any, scales: Any) -> Any:
    """Boxes `(..., 4)` of a code, not cut at the image's edge."""
    anchor_centres, anchor_sizes = _centres_and_sizes(anchors)
    code = code / scales
    centres = code[..., :2] * anchor_sizes + anchor_centres
    half = tf.exp(code[..., 2:]) * anchor_sizes / 2
    return tf.concat([centres - half, centres + half], axis=-1)


def _centres_and_sizes(boxes: Any) -> tuple[Any, Any]:
    sizes = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + sizes / 2, sizes


def match(anchors: Any, boxes: Any, valid: Any) -> Any:
    """The box that each anchor is trained on.

    An anchor takes the box that it overlaps most, if by `MATCH_IOU` at least; then each box takes the anchor that
    overlaps it most, whatever the overlap. Where two boxes take one anchor, the first has it.

    Args:
        anchors: `(anchors, 4)`.
        boxes: `(batch, n, 4)`, `n` > 0.
        valid: `(batch, n)`, False for padding.

    Returns:
        Indices into the boxes `(batch, anchors)`, -1 for background.
    """
    overlap = tf.where(valid[..., None], _overlap(boxes, anchors), -1.0)
    best = tf.argmax(overlap, axis=1, output_type=tf.int32)
    matched = tf.where(tf.reduce_max(overlap, axis=1) >= MATCH_IOU, best, -1)
    forced = tf.one_hot(tf.argmax(overlap, axis=2), tf.shape(anchors)[0], dtype=tf.float32)
    forced *= tf.cast(valid, tf.float32)[..., None]
    return tf.where(tf.reduce_max(forced, axis=1) > 0, tf.argmax(forced, axis=1, output_type=tf.int32), matched)


def _overlap(boxes: Any, anchors: Any) -> Any:
    """Intersection over union, `(batch, n, anchors)`."""
    first, second = boxes[:, :, None, :], anchors[None, None, :, :]
    sides = tf.minimum(first[..., 2:], second[..., 2:]) - tf.maximum(first[..., :2], second[..., :2])
    common = tf.reduce_prod(tf.maximum(sides, 0.0), axis=-1)
    union = _area(first) + _area(second) - common
    return tf.where(common > 0, common / tf.maximum(union, 1e-12), 0.0)


def _area(boxes: Any) -> Any:
    return tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
