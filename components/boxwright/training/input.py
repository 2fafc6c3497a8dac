"""The input pipeline: TFRecord shards in, augmented batches of images and boxes out.

Augmentation draws from stateless seeds made of the run's seed and the number of the example since the start of
training, so that a resumed run sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from boxwright.model import Resizing
from boxwright.training.cutting import MIN_VISIBLE

SHUFFLE_BUFFER = 2048
ZOOM_RANGE = (0.6, 1.8)
ASPECT_JITTER = 1.2

_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature((), tf.string),
    "image/object/bbox/xmin": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/ymin": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/xmax": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/ymax": tf.io.VarLenFeature(tf.float32),
    "image/object/class/label": tf.io.VarLenFeature(tf.int64),
}


def decode_image(encoded: Any) -> Any:
    """Float RGB image `(height, width, 3)` in [0, 255] from JPEG or PNG bytes.

    A JPEG is decoded as Pillow does it, which reads images where there is no TensorFlow: TensorFlow's own choice is a
    faster transform, which is off by a level or two.
    """
    # This one reads PNG as well, and `decode_image` takes no method.
    image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    image.set_shape((None, None, 3))
    return tf.cast(image, tf.float32)


def parse_example(record: Any) -> tuple[Any, Any, Any]:
    """Image `(height, width, 3)`, boxes `(n, 4)` xyxy in [0, 1], and 0-based labels `(n,)` of one record."""
    parsed = tf.io.parse_single_example(record, _FEATURES)
    sides = [tf.sparse.to_dense(parsed[f"image/object/bbox/{side}"]) for side in ("xmin", "ymin", "xmax", "ymax")]
    labels = tf.cast(tf.sparse.to_dense(parsed["image/object/class/label"]), tf.float32) - 1.0
    return decode_image(parsed["image/encoded"]), tf.stack(sides, axis=-1), labels


def augment_example(policy: str, resizing: Resizing, mirrors: bool = True) -> Callable[..., tuple[Any, Any, Any]]:
    """The augmentation of one example, to the model's input; `policy` is `none`, `flip` or `standard`.

    Without `mirrors` nothing is flipped, and all else is as with it.

    The function takes a seed `(2,)`, an image of any size, boxes `(n, 4)` xyxy in shares of the image, and labels
    `(n,)`; it returns the model's input with boxes in shares of that.
    """

    def apply(seed: Any, image: Any, boxes: Any, labels: Any) -> tuple[Any, Any, Any]:
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
        if policy == "standard":
            image, boxes, labels = _zoom_and_crop(image, boxes, labels, resizing, seeds[0], seeds[1])
            image = _colour(image, seeds[2])
        if policy != "none" and mirrors:
            image, boxes = _flip(image, boxes, seeds[3])
        if policy != "standard":
            image, boxes = _resize(image, boxes, resizing)
        return image, boxes, labels

    return apply


def _resize(image: Any, boxes: Any, resizing: Resizing) -> tuple[Any, Any]:
    resized, extent = resizing(image)
    return resized, boxes * tf.tile(extent[::-1], (2,))


def _flip(image: Any, boxes: Any, seed: Any) -> tuple[Any, Any]:
    turn = tf.random.stateless_uniform((), seed) < 0.5
    flipped = tf.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], axis=-1)
    return tf.cond(turn, lambda: tf.reverse(image, [1]), lambda: image), tf.where(turn, flipped, boxes)


def _colour(image: Any, seed: Any) -> Any:
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
    image = tf.image.stateless_random_brightness(image / 255.0, 0.12, seeds[0])
    image = tf.image.stateless_random_contrast(image, 0.8, 1.25, seeds[1])
    image = tf.image.stateless_random_saturation(image, 0.7, 1.3, seeds[2])
    image = tf.image.stateless_random_hue(image, 0.03, seeds[3])
    return tf.clip_by_value(image, 0.0, 1.0) * 255.0


def _zoom_and_crop(
    image: Any, boxes: Any, labels: Any, resizing: Resizing, zoom_seed: Any, place_seed: Any
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
    side, shape = float(resizing.image_size), tf.shape(image)[:2]
    zoom *= resizing.extent(shape)
    # What of the picture (in [0, 1], y first) the model's square shows; the window may be larger than the picture.
    size = 1.0 / zoom
    origin = tf.random.stateless_uniform((2,), place_seed + 1) * (1.0 - size)
    pixels = tf.cast(shape, tf.float32)
    start = tf.cast(tf.round(tf.maximum(origin, 0.0) * pixels), tf.int32)
    stop = tf.cast(tf.round(tf.minimum(origin + size, 1.0) * pixels), tf.int32)
    stop = tf.maximum(stop, start + 1)
    target = tf.cast(tf.round(tf.minimum(zoom, 1.0) * side), tf.int32)
    target = tf.maximum(target, 1)
    view = resizing.scale(image[start[0] : stop[0], start[1] : stop[1]], target)
    offset = tf.cast(tf.round(tf.maximum(-origin, 0.0) * zoom * side), tf.int32)
    view = resizing.place(view, tf.minimum(offset, resizing.image_size - target))

    shift, scale = tf.tile(origin[::-1], (2,)), tf.tile(zoom[::-1], (2,))
    moved = (boxes - shift) * scale
    cut = tf.clip_by_value(moved, 0.0, 1.0)
    keep = _area(cut) >= MIN_VISIBLE * _area(moved)
    return view, cut[keep], labels[keep]


def _area(boxes: Any) -> Any:
    return tf.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1e-12)


def _batches(dataset: Any, batch_size: int, image_size: int, box_multiple: int = 1) -> Any:
    def to_pixels(image: Any, boxes: Any, labels: Any) -> tuple[Any, Any]:
        return image, {"boxes": boxes * float(image_size), "labels": labels}

    # An empty batch column breaks the label encoder, so every image gets one padding row at least.
    shapes = ((image_size, image_size, 3), {"boxes": (None, 4), "labels": (None,)})
    dataset = (
        dataset.map(to_pixels)
        .map(_with_padding_row)
        .padded_batch(batch_size, shapes, (0.0, {"boxes": -1.0, "labels": -1.0}))
    )
    if box_multiple > 1:
        dataset = dataset.map(lambda images, target: (images, _with_rows(target, box_multiple)))
    options = tf.data.Options()
    # Several machines share each batch; by themselves they would share the files, of which there may be one.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.prefetch(2).with_options(options)


def _with_padding_row(image: Any, target: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return image, {
        "boxes": tf.pad(target["boxes"], [[0, 1], [0, 0]], constant_values=-1.0),
        "labels": tf.pad(target["labels"], [[0, 1]], constant_values=-1.0),
    }


def _with_rows(target: dict[str, Any], multiple: int) -> dict[str, Any]:
    """The target with further padding rows, up to a multiple."""
    missing = -tf.shape(target["labels"])[1] % multiple
    return {
        "boxes": tf.pad(target["boxes"], [[0, 0], [0, missing], [0, 0]], constant_values=-1.0),
        "labels": tf.pad(target["labels"], [[0, 0], [0, missing]], constant_values=-1.0),
    }


@tf.autograph.experimental.do_not_convert
def training_batches(
    shards: Sequence[Path],
    images: int,
    batch_size: int,
    resizing: Resizing,
    augmentation: str,
    seed: int,
    first_step: int = 0,
    box_multiple: int = 1,
    in_memory: bool = False,
    mirrors: bool = True,
    repeats: Sequence[int] = (),
) -> Any:
    """An endless dataset of `(images, {"boxes", "labels"})` batches; boxes are xyxy in pixels of the model's input.

    Args:
        shards: TFRecord files; read one after the other, each as soon as it is given.
        images: how many records they hold, repeats counted: one epoch.
        batch_size: images a batch.
        resizing: of the model.
        augmentation: `none`, `flip` or `standard`.
        seed: of order and augmentation.
        first_step: batches that a resumed training has seen.
        box_multiple: each batch is padded to a multiple of so many boxes.
        in_memory: read the shards once and keep their records, images still encoded.
        mirrors: whether half of the images are flipped, unless `augmentation` is `none`.
        repeats: how often an epoch has each record, in the shards' order; once if unset.
    """
    records = records_of(shards).cache() if in_memory else records_of(shards)
    if repeats:
        records = _repeated(records, repeats)
    order = records.shuffle(min(images, SHUFFLE_BUFFER), seed=seed, reshuffle_each_iteration=True).repeat()
    seen = first_step * batch_size
    numbered = tf.data.Dataset.zip(tf.data.Dataset.range(seen, tf.int64.max), order.skip(seen))
    augment = augment_example(augmentation, resizing, mirrors)

    def load(number: Any, record: Any) -> tuple[Any, Any, Any]:
        return augment(tf.stack([tf.constant(seed, tf.int64), number]), *parse_example(record))

    dataset = numbered.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return _batches(dataset, batch_size, resizing.image_size, box_multiple)


def records_of(shards: Sequence[Path]) -> Any:
    """The records of the shards; shards that are still being fetched are waited for when their turn comes.

    Not by `Dataset.from_generator`, which sets the C library's trim threshold for the whole process.
    """

    def records(number: Any) -> Any:
        path = tf.numpy_function(lambda index: str(shards[index]), [number], tf.string)
        return tf.data.TFRecordDataset(tf.ensure_shape(path, ()))

    return tf.data.Dataset.range(len(shards)).flat_map(records)


def _repeated(records: Any, repeats: Sequence[int]) -> Any:
    counts = tf.constant(repeats, tf.int64)
    return records.enumerate().flat_map(
        lambda number, record: tf.data.Dataset.from_tensors(record).repeat(counts[number])
    )


@tf.autograph.experimental.do_not_convert
def evaluation_batches(shards: Sequence[Path], batch_size: int, resizing: Resizing, only_full: bool = False) -> Any:
    """One pass in the shards' order, without augmentation; the same elements as `training_batches`.

    Args:
        shards: TFRecord files.
        batch_size: images a batch.
        resizing: of the model.
        only_full: go on with the first images again, without end: a device must not be left without an image.
    """

    def load(record: Any) -> tuple[Any, Any, Any]:
        image, boxes, labels = parse_example(record)
        return *_resize(image, boxes, resizing), labels

    records = records_of(shards).repeat() if only_full else records_of(shards)
    return _batches(records.map(load, num_parallel_calls=tf.data.AUTOTUNE), batch_size, resizing.image_size)
