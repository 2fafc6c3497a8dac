"""The zoo's training targets and losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from boxwright.model.zoo.architecture import FOCAL_ALPHA
from boxwright.model.zoo.boxes import encode, match

_CODE_SIZE = 4


@dataclass(frozen=True)
class Targets:
    """The targets of a batch of raw outputs.

    Attributes:
        matched: `(batch, anchors)`, index of the box of each anchor, -1 for background.
        boxes: `(batch, anchors, 4)`, code of that box, zeros for background.
        classes: `(batch, anchors, slots)`, one for its class; background anchors and slots are zeros.
    """

    matched: Any
    boxes: Any
    classes: Any


def assign_targets(anchors: Any, boxes: Any, labels: Any, scales: Any, slots: int, background: int) -> Targets:
    """Matches boxes to anchors.

    Args:
        anchors: `(anchors, 4)`, like the boxes.
        boxes: `(batch, n, 4)`, `[ymin, xmin, ymax, xmax]` in shares of the input.
        labels: `(batch, n)`, 0-based classes, -1 for padding.
        scales: of the box code.
        slots: class scores of an anchor.
        background: slots before the first class.
    """
    matched = match(anchors, boxes, labels >= 0)
    positive = matched >= 0
    rows = tf.maximum(matched, 0)
    codes = encode(tf.gather(boxes, rows, batch_dims=1), anchors, scales)
    classes = tf.cast(tf.gather(labels, rows, batch_dims=1), tf.int32) + background
    return Targets(
        matched,
        tf.where(positive[..., None], codes, 0.0),
        tf.one_hot(tf.where(positive, classes, -1), slots),
    )


def box_loss(outputs: Any, targets: Targets) -> Any:
    """Huber loss of the matched anchors' codes, the mean over a code's values and the sum over anchors."""
    error = tf.abs(outputs - targets.boxes)
    huber = tf.where(error < 1.0, 0.5 * error * error, error - 0.5)
    positive = tf.cast(targets.matched >= 0, tf.float32)
    return tf.reduce_sum(huber * positive[..., None]) / _CODE_SIZE


def focal_loss(logits: Any, targets: Targets, gamma: float) -> Any:
    """Sigmoid focal loss (arxiv.org/abs/1708.02002), the sum over anchors and slots."""
    expected = targets.classes
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=expected, logits=logits)
    chance = tf.sigmoid(logits)
    missed = expected * (1.0 - chance) + (1.0 - expected) * chance
    weight = expected * FOCAL_ALPHA + (1.0 - expected) * (1.0 - FOCAL_ALPHA)
    return tf.reduce_sum(weight * tf.pow(missed, gamma) * cross_entropy)
