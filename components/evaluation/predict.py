"""Runs a detector over the examples of a split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components.training.input import decode_image

_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature((), tf.string),
    "image/source_id": tf.io.FixedLenFeature((), tf.string),
    "image/height": tf.io.FixedLenFeature((), tf.int64),
    "image/width": tf.io.FixedLenFeature((), tf.int64),
}


def predict_split(
    detector: Any, shards: list[Path], category_ids: tuple[int, ...], batch_size: int = 8
) -> list[dict[str, Any]]:
    """Detections on every image of the shards, in COCO's results format.

    Args:
        detector: a `Detector`.
        shards: TFRecord files.
        category_ids: the dataset's id of each class, by 0-based index.
        batch_size: images at a time.

    Returns:
        Records of `image_id`, `category_id`, `bbox` `[x, y, width, height]` in pixels of the image, and `score`.
    """
    run = tf.function(detector.detect, reduce_retracing=True)

    def load(record: Any) -> tuple[Any, Any, Any, Any]:
        parsed = tf.io.parse_single_example(record, _FEATURES)
        size = tf.stack([parsed["image/height"], parsed["image/width"]])
        image, extent = detector.resizing(decode_image(parsed["image/encoded"]))
        return image, extent, parsed["image/source_id"], size

    records = tf.data.TFRecordDataset([str(shard) for shard in shards])
    batches = records.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size).prefetch(2)
    detections: list[dict[str, Any]] = []
    for images, extents, source_ids, sizes in batches:
        found = {name: value.numpy() for name, value in run(images, extents).items()}
        for row, (source_id, size) in enumerate(zip(source_ids.numpy(), sizes.numpy(), strict=True)):
            single = {name: value[row] for name, value in found.items()}
            detections.extend(_coco_results(single, int(source_id), size, category_ids))
    return detections


def _coco_results(
    found: dict[str, Any], image_id: int, size: Any, category_ids: tuple[int, ...]
) -> Iterator[dict[str, Any]]:
    height, width = (float(side) for side in size)
    count = int(found["num_detections"])
    boxes = np.asarray(found["detection_boxes"][:count], np.float64)
    for (ymin, xmin, ymax, xmax), score, label in zip(
        boxes, found["detection_scores"][:count], found["detection_classes"][:count], strict=True
    ):
        yield {
            "image_id": image_id,
            "category_id": category_ids[int(label) - 1],
            "bbox": [xmin * width, ymin * height, (xmax - xmin) * width, (ymax - ymin) * height],
            "score": float(score),
        }


def first_images(shards: list[Path], count: int) -> list[tuple[int, bytes]]:
    """The first `count` images of the shards as `(image_id, encoded bytes)`."""
    records = tf.data.TFRecordDataset([str(shard) for shard in shards]).take(count)
    parsed = (tf.io.parse_single_example(record, _FEATURES) for record in records)
    return [(int(one["image/source_id"].numpy()), one["image/encoded"].numpy()) for one in parsed]
