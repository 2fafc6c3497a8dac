"""Which places learn which box: task-aligned assignment (arxiv.org/abs/2108.07755, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from boxwright.model.gfl.boxes import overlaps

_TOP_PLACES = 10
_SCORE_POWER, _OVERLAP_POWER = 0.5, 4.0
# Centres nearer than so many strides belong to a box even if they lie outside: small ones may hold none.
_NEAR = 1.0
# Of boxes that no place's box overlaps, the places in reach are alike.
_LEAST_OVERLAP = 1e-4


@dataclass(frozen=True)
class Assignment:
    """The targets of a batch.

    Attributes:
        matched: `(batch, places)`, index of the box that a place learns, -1 for background.
        boxes: `(batch, places, 4)`, that box, xyxy in pixels; anything for background.
        labels: `(batch, places)`, its class; -1 for background.
        share: `(batch, places)`, how well a place is aligned with its box, 1 for each box's best, 0 for background.
        quality: `(batch, places)`, the class score to learn, 0 for background.
    """

    matched: Any
    boxes: Any
    labels: Any
    share: Any
    quality: Any


def assign(places: Any, strides: Any, boxes: Any, labels: Any, predicted: Any, scores: Any) -> Assignment:
    """Gives each box the places that already predict it best, by class score and overlap together.

    The quality of a place is its share of its box's best alignment, times the root of the best overlap that any of the
    box's places has. The overlap itself, as the paper has it, leaves small and rare objects behind: no untrained box
    overlaps them, so their scores learn to be low, and low scores to be no object.

    Args:
        places: `(places, 2)`, centres `(x, y)` in pixels.
        strides: `(places,)`, in pixels.
        boxes: `(batch, n, 4)`, xyxy in pixels.
        labels: `(batch, n)`, classes, -1 for padding.
        predicted: `(batch, places, 4)`, predicted boxes.
        scores: `(batch, places, classes)`, predicted class scores in [0, 1].
    """
    is_box = labels >= 0
    shared = overlaps(boxes[:, :, None], predicted[:, None])
    classes = tf.one_hot(tf.cast(labels, tf.int32), scores.shape[-1])
    of_class = tf.einsum("bnc,bpc->bnp", classes, scores)
    allowed = tf.logical_and(_reach(places, strides, boxes), is_box[:, :, None])
    alignment = tf.where(allowed, of_class**_SCORE_POWER * tf.maximum(shared, _LEAST_OVERLAP) ** _OVERLAP_POWER, -1.0)

    count = min(_TOP_PLACES, int(places.shape[0]))
    least = tf.math.top_k(alignment, count).values[..., -1:]
    candidate = tf.logical_and(allowed, alignment >= least)
    # A place that several boxes want goes to the one that it overlaps most.
    wanted = tf.where(candidate, shared, -1.0)
    owner = tf.argmax(wanted, axis=1, output_type=tf.int32)
    positive = tf.reduce_any(candidate, axis=1)
    matched = tf.where(positive, owner, -1)

    owned = tf.logical_and(tf.one_hot(matched, tf.shape(boxes)[1], axis=1) > 0, candidate)
    alignment, shared = (tf.where(owned, value, 0.0) for value in (alignment, shared))
    best_alignment, best_overlap = (tf.reduce_max(value, axis=2, keepdims=True) for value in (alignment, shared))
    share = alignment / tf.maximum(best_alignment, 1e-30)
    rows = tf.maximum(owner, 0)
    return Assignment(
        matched,
        tf.gather(boxes, rows, batch_dims=1),
        tf.where(positive, tf.cast(tf.gather(labels, rows, batch_dims=1), tf.int32), -1),
        tf.reduce_max(share, axis=1),
        tf.reduce_max(share * tf.sqrt(best_overlap), axis=1),
    )


def _reach(places: Any, strides: Any, boxes: Any) -> Any:
    """Which places a box may use, `(batch, n, places)`: those inside of it or near its centre."""
    low, high = boxes[:, :, None, :2], boxes[:, :, None, 2:]
    inside = tf.reduce_all(tf.logical_and(places > low, places < high), axis=-1)
    near = tf.reduce_all(tf.abs(places - (low + high) / 2) < _NEAR * strides[:, None], axis=-1)
    return tf.logical_or(inside, near)
