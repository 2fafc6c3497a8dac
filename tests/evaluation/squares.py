"""A dataset of coloured squares and a detector that finds them by colour: it can be right, and broken on purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boxwright.dataset.annotations.reading import Annotations, Box, ImageRecord, save_annotations
from boxwright.dataset.examples.summary import ExamplesSummary, SplitCounts
from boxwright.evaluation import evaluating as module
from boxwright.model.store import WEIGHTS_FILE, ModelCard

SIZE = 64
CLASSES = {4: "red", 9: "green", 11: "blue"}
IMAGES = 12


class Colours:
    """Finds one square of each colour: a network of one layer, whose weights are the colours of its classes.

    It stands in for a `Detector`: `resizing`, a call for raw outputs, and `detect`. Each image has one square of each
    colour at most, of 16 pixels; its place is where the answer is largest.
    """

    tiling = None

    def __init__(self, colours: Any) -> None:
        self.colours = np.asarray(colours, np.float32)

    def resizing(self, image: Any) -> tuple[Any, Any]:
        """Images have the input's size already."""
        import tensorflow as tf

        return tf.ensure_shape(image, (SIZE, SIZE, 3)), tf.ones((2,))

    def __call__(self, images: Any, training: bool = False) -> dict[str, Any]:
        """How much of each colour there is at each pixel, `(batch, size, size, classes)` in [0, 1]."""
        import tensorflow as tf

        return {"map": tf.einsum("bhwc,kc->bhwk", tf.cast(images, tf.float32) / 255.0, self.colours)}

    def detect(self, images: Any, extents: Any) -> dict[str, Any]:
        """As `Detector.detect` answers, with NaN suppressed as it does there."""
        import tensorflow as tf

        found = self(images)["map"]
        mask = tf.cast(found > 0.9, tf.float32)
        places = tf.range(SIZE, dtype=tf.float32)
        edges = []
        for axis in (2, 1):
            line = tf.reduce_max(mask, axis=axis)
            inside = line * (places[None, :, None] + 1)
            first = SIZE - tf.reduce_max(line * (SIZE - places[None, :, None]), axis=1)
            edges.append((first / SIZE, tf.reduce_max(inside, axis=1) / SIZE))
        (top, bottom), (left, right) = edges
        scores = tf.where(bottom > top, tf.clip_by_value(tf.reduce_mean(found, axis=(1, 2)) * 8, 0.05, 0.95), 0.0)
        scores = tf.where(tf.math.is_nan(scores), 0.0, scores)
        order = tf.argsort(scores, direction="DESCENDING")
        boxes = tf.gather(tf.stack([top, left, bottom, right], axis=-1), order, batch_dims=1)
        scores = tf.gather(scores, order, batch_dims=1)
        return {
            "detection_boxes": boxes,
            "detection_scores": scores,
            "detection_classes": tf.cast(tf.where(scores > 0, order + 1, 0), tf.float32),
            "num_detections": tf.reduce_sum(tf.cast(scores > 0, tf.int32), axis=1),
        }


RIGHT = Colours([[1, -1, -1], [-1, 1, -1], [-1, -1, 1]])


def write_examples(folder: Path) -> Annotations:
    """An examples folder with a test split of `IMAGES` images, each with two or three squares."""
    import tensorflow as tf

    random = np.random.default_rng(5)
    records, boxes = [], []
    (folder / "test").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "test" / "examples-00000-of-00001.tfrecord")) as writer:
        for number in range(IMAGES):
            pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
            for row, category_id in enumerate(CLASSES):
                if number % 4 == row:
                    continue
                x, y = int(random.integers(0, 4)) + row * 20, int(random.integers(0, 48))
                pixels[y : y + 16, x : x + 16] = np.eye(3, dtype=np.uint8)[row] * 255
                boxes.append(Box(len(boxes), 100 + number, (x, y, x + 16, y + 16), category_id))
            records.append(ImageRecord(100 + number, f"sq{number}.png", SIZE, SIZE))
            writer.write(_example(pixels, 100 + number))
    annotations = Annotations(tuple(records), tuple(boxes), dict(CLASSES))
    save_annotations(annotations, folder / "test" / "annotations.json")
    splits = {"test": SplitCounts(images=IMAGES, boxes=len(boxes), shards=1)}
    classes, ids = tuple(CLASSES.values()), tuple(CLASSES)
    ExamplesSummary(fingerprint="f" * 64, classes=classes, category_ids=ids, splits=splits).write(folder)
    return annotations


def _example(pixels: Any, image_id: int) -> bytes:
    import tensorflow as tf

    def feature(value: bytes | int) -> Any:
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    values = {
        "image/encoded": tf.io.encode_png(pixels).numpy(), "image/source_id": str(image_id).encode(),
        "image/height": SIZE, "image/width": SIZE,
    }  # fmt: skip
    features = {name: feature(value) for name, value in values.items()}
    return bytes(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def model_folder(folder: Path, history: bool = True) -> Path:
    """A folder that stands for a trained model; `loading` says what is in it."""
    folder.mkdir(parents=True)
    (folder / WEIGHTS_FILE).write_bytes(b"weights")
    losses = {"loss": 1.0, "val_loss": 0.8, "val_localization_loss": 0.3, "val_classification_loss": 0.5}
    if history:
        records = [
            {"epoch": float(epoch)} | {name: value / (epoch + 1) for name, value in losses.items()} for epoch in (0, 1)
        ]
        (folder / "history.json").write_text(json.dumps(records))
    return folder


def loading(patch: pytest.MonkeyPatch, models: dict[Path, Colours], classes: tuple[str, ...] = ()) -> None:
    """Lets `evaluate` find these models in these folders."""
    card = ModelCard(
        model_id="tiny", image_size=SIZE, classes=classes or tuple(CLASSES.values()), category_ids=tuple(CLASSES)
    )
    patch.setattr(module, "load_detector", lambda folder: (models[folder], card))
