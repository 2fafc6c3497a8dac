"""Boxes as distances from places: the code of the family, and the overlap of boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# What the bins of a distribution stand for, in strides: even where most sides are, then wider and wider, so that a
# stride of 32 reaches across the largest input there is, of 2048 pixels.
BINS = np.array([*range(11), 14.5, 21, 30, 44, 64], "float32")


def place_grid(image_size: int, strides: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Centres `(places, 2)` as `(x, y)` and strides `(places,)` of all places, in pixels, level after level."""
    centres, steps = [], []
    for stride in strides:
        sides = (np.arange(image_size // stride, dtype="float32") + 0.5) * stride
        y, x = np.meshgrid(sides, sides, indexing="ij")
        centres.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        steps.append(np.full(x.size, stride, "float32"))
    return np.concatenate(centres), np.concatenate(steps)


def boxes_of(distances: Any, places: Any, strides: Any) -> Any:
    """Boxes `(batch, places, 4)`, xyxy in pixels, from distances to the left, top, right and bottom side in strides."""
    reach = distances * strides[:, None]
    return tf.concat([places - reach[..., :2], places + reach[..., 2:]], axis=-1)


def distances_to(boxes: Any, places: Any, strides: Any) -> Any:
    """The reverse of `boxes_of`; negative where a place lies outside of its box."""
    return tf.concat([places - boxes[..., :2], boxes[..., 2:] - places], axis=-1) / strides[:, None]


def mean_distances(logits: Any) -> Any:
    """The mean of each distribution over `BINS`, from logits `(..., bins)`; without the last axis."""
    return tf.linalg.matvec(tf.nn.softmax(logits), tf.constant(BINS))


def distribution_focal_loss(logits: Any, distances: Any) -> Any:
    """Cross-entropy of the two bins beside a distance, each by its nearness (arxiv.org/abs/2006.04388, equation 6).

    Args:
        logits: `(..., bins)`.
        distances: `(...)`, in strides; beyond the bins they count as the last one.
    """
    distances = tf.clip_by_value(distances, 0.0, BINS[-1])
    below = tf.clip_by_value(tf.searchsorted(BINS, tf.reshape(distances, (-1,)), side="right") - 1, 0, len(BINS) - 2)
    below = tf.reshape(below, tf.shape(distances))
    share = (distances - tf.gather(BINS, below)) / tf.gather(np.diff(BINS), below)
    entropy = (1.0 - share) * tf.nn.sparse_softmax_cross_entropy_with_logits(below, logits)
    return entropy + share * tf.nn.sparse_softmax_cross_entropy_with_logits(below + 1, logits)


def overlaps(one: Any, other: Any) -> Any:
    """Intersection over union of boxes xyxy, whose shapes broadcast; without the last axis."""
    shared, union, _ = _areas(one, other)
    return shared / tf.maximum(union, 1e-6)


def generalized_overlaps(one: Any, other: Any) -> Any:
    """Generalized IoU (arxiv.org/abs/1902.09630): less the share of the hull that neither box covers."""
    shared, union, hull = _areas(one, other)
    return shared / tf.maximum(union, 1e-6) - (hull - union) / tf.maximum(hull, 1e-6)


def _areas(one: Any, other: Any) -> tuple[Any, Any, Any]:
    """Areas of the intersection, of the union and of the hull."""
    (low, high), (other_low, other_high) = ((boxes[..., :2], boxes[..., 2:]) for boxes in (one, other))
    sides = tf.maximum(tf.minimum(high, other_high) - tf.maximum(low, other_low), 0.0)
    shared = sides[..., 0] * sides[..., 1]
    own, others = high - low, other_high - other_low
    union = own[..., 0] * own[..., 1] + others[..., 0] * others[..., 1] - shared
    hull = tf.maximum(high, other_high) - tf.minimum(low, other_low)
    return shared, union, hull[..., 0] * hull[..., 1]
