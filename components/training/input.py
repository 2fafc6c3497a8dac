"""The input pipeline: TFRecord shards in, augmented batches of images and boxes out.

Augmentation draws from stateless seeds made of the run's seed and the number of the example since the start of
training, so that a resumed run sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

SHUFFLE_BUFFER = 2048
MIN_VISIBLE = 0.3
ZOOM_RANGE = (0.6, 1.8)
ASPECT_JITTER = 1.2
PADDING_VALUE = 127.0

_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature((), tf.string),
    "image/object/bbox/xmin": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/ymin": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/xmax": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/ymax": tf.io.VarLenFeature(tf.float32),
    "image/object/class/label": tf.io.VarLenFeature(tf.int64),
}


def decode_image(encoded: Any) -> Any:
    """Float RGB image `(height, width, 3)` in [0, 255] from JPEG or PNG bytes."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape((None, None, 3))
    return tf.cast(image, tf.float32)


def resize_image(image: Any, image_size: int) -> Any:
    """Stretches an image to `(image_size, image_size, 3)`; training, evaluation and serving all resize by this."""
    return tf.image.resize(image, (image_size, image_size), antialias=True)


def parse_example(record: Any) -> tuple[Any, Any, Any]:
    """Image `(height, width, 3)`, boxes `(n, 4)` xyxy in [0, 1], and 0-based labels `(n,)` of one record."""
    parsed = tf.io.parse_single_example(record, _FEATURES)
    sides = [tf.sparse.to_dense(parsed[f"image/object/bbox/{side}"]) for side in ("xmin", "ymin", "xmax", "ymax")]
    labels = tf.cast(tf.sparse.to_dense(parsed["image/object/class/label"]), tf.float32) - 1.0
    return decode_image(parsed["image/encoded"]), tf.stack(sides, axis=-1), labels


def augment_example(policy: str, image_size: int) -> Callable[..., tuple[Any, Any, Any]]:
    """The augmentation of one example; `policy` is `none`, `flip` or `standard`."""

    def apply(seed: Any, image: Any, boxes: Any, labels: Any) -> tuple[Any, Any, Any]:
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
        if policy == "standard":
            image, boxes, labels = _zoom_and_crop(image, boxes, labels, image_size, seeds[0], seeds[1])
            image = _colour(image, seeds[2])
        else:
            image = resize_image(image, image_size)
        if policy != "none":
            image, boxes = _flip(image, boxes, seeds[3])
        return image, boxes, labels

    return apply


def _flip(image: Any, boxes: Any, seed: Any) -> tuple[Any, Any]:
    turn = tf.random.stateless_uniform((), seed) < 0.5
    flipped = tf.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], axis=-1)
    return tf.where(turn, image[:, ::-1], image), tf.where(turn, flipped, boxes)


def _colour(image: Any, seed: Any) -> Any:
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
    image = tf.image.stateless_random_brightness(image / 255.0, 0.12, seeds[0])
    image = tf.image.stateless_random_contrast(image, 0.8, 1.25, seeds[1])
    image = tf.image.stateless_random_saturation(image, 0.7, 1.3, seeds[2])
    image = tf.image.stateless_random_hue(image, 0.03, seeds[3])
    return tf.clip_by_value(image, 0.0, 1.0) * 255.0


def _zoom_and_crop(
    image: Any, boxes: Any, labels: Any, image_size: int, zoom_seed: Any, place_seed: Any
) -> tuple[Any, Any, Any]:
    """Scales the picture by a random factor and cuts, or pads, it to the model's square at a random place.

    Boxes that keep less than `MIN_VISIBLE` of their area are dropped; the rest are cut at the border.
    """
    low, high = tf.math.log(ZOOM_RANGE[0]), tf.math.log(ZOOM_RANGE[1])
    stretch = tf.math.log(ASPECT_JITTER) / 2
    zoom = tf.exp(
        tf.random.stateless_uniform((1,), zoom_seed, low, high)
        + tf.random.stateless_uniform((2,), place_seed, -stretch, stretch)
    )
    # What of the picture (in [0, 1], y first) the model's square shows; the window may be larger than the picture.
    size = 1.0 / zoom
    origin = tf.random.stateless_uniform((2,), place_seed + 1) * (1.0 - size)
    pixels = tf.cast(tf.shape(image)[:2], tf.float32)
    start = tf.cast(tf.round(tf.maximum(origin, 0.0) * pixels), tf.int32)
    stop = tf.cast(tf.round(tf.minimum(origin + size, 1.0) * pixels), tf.int32)
    stop = tf.maximum(stop, start + 1)
    target = tf.cast(tf.round(tf.minimum(zoom, 1.0) * float(image_size)), tf.int32)
    view = tf.image.resize(image[start[0] : stop[0], start[1] : stop[1]], target, antialias=True)
    offset = tf.cast(tf.round(tf.maximum(-origin, 0.0) * zoom * float(image_size)), tf.int32)
    offset = tf.minimum(offset, image_size - target)
    padding = tf.stack([offset, image_size - target - offset], axis=1)
    view = tf.pad(view, tf.concat([padding, [[0, 0]]], axis=0), constant_values=PADDING_VALUE)
    view = tf.ensure_shape(view, (image_size, image_size, 3))

    shift, scale = tf.tile(origin[::-1], (2,)), tf.tile(zoom[::-1], (2,))
    moved = (boxes - shift) * scale
    cut = tf.clip_by_value(moved, 0.0, 1.0)
    keep = _area(cut) >= MIN_VISIBLE * _area(moved)
    return view, cut[keep], labels[keep]


def _area(boxes: Any) -> Any:
    return tf.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1e-12)


def _batches(dataset: Any, batch_size: int, image_size: int) -> Any:
    def to_pixels(image: Any, boxes: Any, labels: Any) -> tuple[Any, Any]:
        return image, {"boxes": boxes * float(image_size), "labels": labels}

    # An empty batch column breaks the label encoder, so every image gets one padding row at least.
    shapes = ((image_size, image_size, 3), {"boxes": (None, 4), "labels": (None,)})
    dataset = (
        dataset.map(to_pixels)
        .map(_with_padding_row)
        .padded_batch(batch_size, shapes, (0.0, {"boxes": -1.0, "labels": -1.0}))
    )
    return dataset.prefetch(2)


def _with_padding_row(image: Any, target: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return image, {
        "boxes": tf.pad(target["boxes"], [[0, 1], [0, 0]], constant_values=-1.0),
        "labels": tf.pad(target["labels"], [[0, 1]], constant_values=-1.0),
    }


def training_batches(
    shards: list[Path],
    images: int,
    batch_size: int,
    image_size: int,
    augmentation: str,
    seed: int,
    first_step: int = 0,
) -> Any:
    """An endless dataset of `(images, {"boxes", "labels"})` batches; boxes are xyxy in pixels of the model's input.

    Args:
        shards: TFRecord files.
        images: how many records they hold: one epoch.
        batch_size: images a batch.
        image_size: input height and width in pixels.
        augmentation: `none`, `flip` or `standard`.
        seed: of order and augmentation.
        first_step: batches that a resumed training has seen.
    """
    records = tf.data.TFRecordDataset([str(shard) for shard in shards])
    order = records.shuffle(min(images, SHUFFLE_BUFFER), seed=seed, reshuffle_each_iteration=True).repeat()
    seen = first_step * batch_size
    numbered = tf.data.Dataset.zip(tf.data.Dataset.range(seen, tf.int64.max), order.skip(seen))
    augment = augment_example(augmentation, image_size)

    def load(number: Any, record: Any) -> tuple[Any, Any, Any]:
        return augment(tf.stack([tf.constant(seed, tf.int64), number]), *parse_example(record))

    dataset = numbered.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return _batches(dataset, batch_size, image_size)


def evaluation_batches(shards: list[Path], batch_size: int, image_size: int) -> Any:
    """One pass in the shards' order, without augmentation; the same elements as `training_batches`."""

    def load(record: Any) -> tuple[Any, Any, Any]:
        image, boxes, labels = parse_example(record)
        return resize_image(image, image_size), boxes, labels

    records = tf.data.TFRecordDataset([str(shard) for shard in shards])
    return _batches(records.map(load, num_parallel_calls=tf.data.AUTOTUNE), batch_size, image_size)
