"""Detection in one image of any size, through tiles where the model has such: one graph for evaluation and serving."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from boxwright.config import MAX_DETECTIONS
from boxwright.images import CUT_WEIGHT, MERGED_OVERLAP, MOST_COMPARED, Tiling, is_cut
from boxwright.model.detector import Detector

# Windows that go through the network together.
_TOGETHER = 8


@tf.autograph.experimental.do_not_convert
def look(detector: Detector, image: Any) -> dict[str, Any]:
    """At most `MAX_DETECTIONS` boxes in an image, best first.

    What several windows show is counted once; what the model's own suppression has left of one window stays.

    Args:
        detector: with `tiling` or without.
        image: float RGB `(height, width, 3)` in [0, 255].

    Returns:
        As `Detector.detect` does, without the batch's axis.
    """
    if detector.tiling is None:
        resized, extent = detector.resizing(image)
        return {name: value[0] for name, value in detector.detect(resized[None], extent[None]).items()}
    pixels = tf.shape(image)[:2]
    places = windows_within(pixels, detector.tiling)
    return _merged(_seen(detector, image, places), places, pixels, within_class=detector.nms != "agnostic")


def windows_within(pixels: Any, tiling: Tiling) -> Any:
    """As `boxwright.images.windows`, of an image of `pixels` `(height, width)`: `(n, 4)`, int32."""
    size = tiling.size
    rows, columns = (_starts(pixels[axis], tiling) for axis in (0, 1))
    y, x = (tf.reshape(places, (-1,)) for places in tf.meshgrid(rows, columns, indexing="ij"))
    tiles = tf.stack([y, x, tf.minimum(y + size, pixels[0]), tf.minimum(x + size, pixels[1])], axis=1)
    has_tiles = tf.reduce_max(pixels) > size
    return tf.concat([tf.concat([[0, 0], pixels], 0)[None], tiles[: tf.where(has_tiles, tf.shape(tiles)[0], 0)]], 0)


def _starts(side: Any, tiling: Tiling) -> Any:
    left = tf.maximum(side - tiling.size, 0)
    last = -(-left // tiling.stride)
    return tf.range(last + 1) * left // tf.maximum(last, 1)


def _seen(detector: Detector, image: Any, places: Any) -> dict[str, Any]:
    """What is found in each window, in shares of it; the first axis runs over the windows."""
    inputs = (
        tf.TensorSpec((detector.image_size, detector.image_size, 3), tf.float32),
        tf.TensorSpec((2,), tf.float32),
    )

    def enter(place: Any) -> tuple[Any, Any]:
        entered: tuple[Any, Any] = detector.resizing(image[place[0] : place[2], place[1] : place[3]])
        return entered

    def some(number: Any, *found: Any) -> tuple[Any, ...]:
        some_places = places[number * _TOGETHER : (number + 1) * _TOGETHER]
        answer = detector.detect(*tf.map_fn(enter, some_places, fn_output_signature=inputs))
        return number + 1, *(array.write(number, answer[name]) for array, name in zip(found, shapes, strict=True))

    shapes = {
        "detection_boxes": (tf.float32, (None, MAX_DETECTIONS, 4)),
        "detection_scores": (tf.float32, (None, MAX_DETECTIONS)),
        "detection_classes": (tf.float32, (None, MAX_DETECTIONS)),
        "num_detections": (tf.int32, (None,)),
    }
    steps = -(-tf.shape(places)[0] // _TOGETHER)
    arrays = [tf.TensorArray(kind, steps, element_shape=shape, infer_shape=False) for kind, shape in shapes.values()]
    _, *arrays = tf.while_loop(
        lambda number, *_: number < steps, some, (tf.constant(0), *arrays), parallel_iterations=1
    )
    return {name: array.concat() for name, array in zip(shapes, arrays, strict=True)}


def _merged(found: dict[str, Any], places: Any, pixels: Any, within_class: bool) -> dict[str, Any]:
    places, pixels = tf.cast(places, tf.float32), tf.cast(pixels, tf.float32)
    low, high = places[:, None, :2], places[:, None, 2:]
    boxes = tf.tile(low, (1, 1, 2)) + found["detection_boxes"] * tf.tile(high - low, (1, 1, 2))
    cut = tf.reduce_any(is_cut(boxes, low, high, pixels), axis=-1)
    scores = found["detection_scores"]
    is_there = tf.sequence_mask(found["num_detections"], MAX_DETECTIONS)
    rank = tf.where(is_there, scores * tf.where(cut, CUT_WEIGHT, 1.0), 0.0)
    of_window = tf.tile(tf.range(tf.shape(places)[0])[:, None], (1, MAX_DETECTIONS))
    columns = (boxes, scores, found["detection_classes"], cut, of_window)
    flat = [tf.reshape(column, (-1, 4) if column is boxes else (-1,)) for column in columns]
    rank, best = tf.math.top_k(tf.reshape(rank, (-1,)), tf.minimum(MOST_COMPARED, tf.size(rank)))
    boxes, scores, classes, cut, of_window = (tf.gather(column, best) for column in flat)
    compete = of_window[:, None] != of_window[None]
    if within_class:
        compete &= classes[:, None] == classes[None]
    overlaps = tf.where(compete, _overlaps(boxes, cut), 0.0)
    kept = tf.raw_ops.NonMaxSuppressionWithOverlaps(
        overlaps=overlaps,
        scores=rank,
        max_output_size=MAX_DETECTIONS,
        overlap_threshold=MERGED_OVERLAP,
        score_threshold=0.0,
    )
    kept = tf.gather(kept, tf.argsort(-tf.gather(scores, kept), stable=True))
    missing = [[0, MAX_DETECTIONS - tf.shape(kept)[0]]]
    shares = tf.clip_by_value(tf.gather(boxes, kept) / tf.tile(pixels, (2,)), 0.0, 1.0)
    return {
        "detection_boxes": tf.ensure_shape(tf.pad(shares, [*missing, [0, 0]]), (MAX_DETECTIONS, 4)),
        "detection_scores": tf.ensure_shape(tf.pad(tf.gather(scores, kept), missing), (MAX_DETECTIONS,)),
        "detection_classes": tf.ensure_shape(tf.pad(tf.gather(classes, kept), missing), (MAX_DETECTIONS,)),
        "num_detections": tf.shape(kept)[0],
    }


def _overlaps(boxes: Any, cut: Any) -> Any:
    """Overlaps of boxes `(n, 4)`, the ones that go first in front: `(n, n)`, the same on both sides of the diagonal.

    That of one that is cut off, with one before it, is the share of it that this covers; else it is their intersection
    over union.
    """
    low = tf.maximum(boxes[:, None, :2], boxes[None, :, :2])
    sides = tf.maximum(tf.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - low, 0.0)
    common = sides[..., 0] * sides[..., 1]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    union = area[:, None] + area[None] - common
    covered = tf.where(cut[None], common / tf.maximum(area[None], 1e-6), 0.0)
    shares = tf.maximum(common / tf.maximum(union, 1e-6), covered)
    rows = tf.range(tf.shape(boxes)[0])
    return tf.where(rows[:, None] <= rows[None], shares, tf.transpose(shares))
