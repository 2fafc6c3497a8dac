"""Runs a detector over the examples of a split, and measures how fast it is."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from boxwright.evaluation.answers import coco_results
from boxwright.evaluation.records import Speed
from boxwright.model import look
from boxwright.training import decode_image

log = logging.getLogger("boxwright.evaluation")

_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature((), tf.string),
    "image/source_id": tf.io.FixedLenFeature((), tf.string),
    "image/height": tf.io.FixedLenFeature((), tf.int64),
    "image/width": tf.io.FixedLenFeature((), tf.int64),
}
_CPU_BATCH, _GPU_BATCH = 8, 32
_PROGRESS_SECONDS = 15.0
_WARM_UP, _TIMED, _LEAST_TIMED, _TIMING_SECONDS = 3, 50, 5, 10.0


@dataclass(frozen=True)
class Predictions:
    """The predictions of a detector on a split.

    Attributes:
        detections: records of `image_id`, `category_id`, `bbox` `[x, y, width, height]` in pixels of the image, and
            `score`, in COCO's results format; finite numbers only.
        images: images looked at.
        not_finite_images: those on which the network answers NaN or infinity.
        images_per_second: decoding, network and suppression together, after the first batch; None where there is one.
        batch_size: images at a time.
        image_ids: of the images, in order.
    """

    detections: list[dict[str, Any]]
    images: int
    not_finite_images: int
    images_per_second: float | None
    batch_size: int
    image_ids: tuple[int, ...] = ()


def device_batch_size() -> int:
    """Images at a time: a GPU is filled by more, and a CPU's caches by fewer."""
    return _GPU_BATCH if tf.config.list_physical_devices("GPU") else _CPU_BATCH


def predict_split(
    detector: Any,
    shards: Sequence[Path],
    category_ids: Sequence[int | None],
    batch_size: int | None = None,
    every: int = 1,
) -> Predictions:
    """Detections on the images of the shards.

    Args:
        detector: a `Detector`.
        shards: TFRecord files.
        category_ids: the dataset's id of each class, by 0-based index; detections of a class with None are dropped.
        batch_size: images at a time; fit for the device if unset.
        every: look at each image of that number only: 2 is every second one.
    """
    # Of an image in tiles many go through the network together already.
    batch_size = 1 if detector.tiling else batch_size or device_batch_size()
    detect, is_finite = _answering(detector), _checking(detector)
    records = tf.data.TFRecordDataset([str(shard) for shard in shards]).shard(every, 0)
    # Images that go in whole take much memory.
    at_once = 1 if detector.tiling else tf.data.AUTOTUNE
    batches = records.map(_loading(detector), num_parallel_calls=at_once).batch(batch_size).prefetch(2)
    detections: list[dict[str, Any]] = []
    image_ids: list[int] = []
    count = broken = 0
    clock = _Clock()
    for images, extents, source_ids, sizes in batches:
        found = {name: value.numpy() for name, value in detect(images, extents).items()}
        bad = _broken_rows(found)
        if not found["num_detections"].all():
            # Suppression drops NaN without a word.
            bad |= ~is_finite(images).numpy()
        broken += int(bad.sum())
        image_ids.extend(int(source_id) for source_id in source_ids.numpy())
        for row, (source_id, size) in enumerate(zip(source_ids.numpy(), sizes.numpy(), strict=True)):
            single = {name: value[row] for name, value in found.items()}
            detections.extend(coco_results(single, int(source_id), size, category_ids))
        count += len(bad)
        clock.tick(count)
    return Predictions(detections, count, broken, clock.images_per_second(), batch_size, tuple(image_ids))


class _Clock:
    """Speed without the first batch, which builds the graph; a log line now and then."""

    def __init__(self) -> None:
        self.first: tuple[float, int] | None = None
        self.last = (0.0, 0)
        self.said = time.monotonic()

    def tick(self, images: int) -> None:
        """`images` are done."""
        self.last = (time.monotonic(), images)
        self.first = self.first or self.last
        if self.last[0] - self.said > _PROGRESS_SECONDS:
            self.said = self.last[0]
            log.info("predicted on %d images", images)

    def images_per_second(self) -> float | None:
        """None where there was one batch."""
        if self.first is None or self.first[1] == self.last[1]:
            return None
        return (self.last[1] - self.first[1]) / max(self.last[0] - self.first[0], 1e-9)


def _answering(detector: Any) -> Any:
    """A function that detects objects on the batches that `_loading` gives, as `Detector.detect` does."""
    if detector.tiling is None:
        return detector.detect

    @tf.function(
        input_signature=(tf.TensorSpec((1, None, None, 3), tf.float32), tf.TensorSpec((1, 2), tf.float32)),
        autograph=False,
    )
    def detect(images: Any, extents: Any) -> dict[str, Any]:
        del extents
        return {name: value[None] for name, value in look(detector, images[0]).items()}

    return detect


def _checking(detector: Any) -> Any:
    @tf.function(reduce_retracing=True, autograph=False)
    def is_finite(images: Any) -> Any:
        """Whether all raw outputs of each image are finite, `(batch,)`; of one in tiles, those of the whole."""
        if detector.tiling is not None:
            images = detector.resizing(images[0])[0][None]
        outputs = tf.nest.flatten(detector(images, training=False))
        flat = [tf.reshape(tf.cast(one, tf.float32), (tf.shape(images)[0], -1)) for one in outputs]
        return tf.reduce_all(tf.math.is_finite(tf.concat(flat, axis=1)), axis=1)

    return is_finite


def _loading(detector: Any) -> Any:
    @tf.autograph.experimental.do_not_convert
    def load(record: Any) -> tuple[Any, Any, Any, Any]:
        parsed = tf.io.parse_single_example(record, _FEATURES)
        size = tf.stack([parsed["image/height"], parsed["image/width"]])
        image = decode_image(parsed["image/encoded"])
        image, extent = detector.resizing(image) if detector.tiling is None else (image, tf.ones((2,)))
        return image, extent, parsed["image/source_id"], size

    return load


def _broken_rows(found: dict[str, Any]) -> Any:
    """The images with a detection that is not finite, `(batch,)`."""
    boxes, scores = found["detection_boxes"], found["detection_scores"]
    return ~(np.isfinite(boxes).all(axis=(1, 2)) & np.isfinite(scores).all(axis=1))


def measure_speed(detector: Any, shards: Sequence[Path], predictions: Predictions, weights: Path) -> Speed:
    """Times single images, and adds what the run over the split has shown.

    Args:
        detector: a `Detector`.
        shards: TFRecord files; their first images are the ones timed.
        predictions: of `predict_split`.
        weights: the file of the weights.
    """
    run, load = tf.function(_answering(detector), reduce_retracing=True), tf.function(_loading(detector))

    def answer(record: Any) -> tuple[float, float]:
        """Milliseconds from bytes to detections, and those of them after the input was there."""
        start = time.perf_counter()
        image, extent, *_ = load(record)
        loaded = time.perf_counter()
        run(image[None], extent[None])["num_detections"].numpy()
        end = time.perf_counter()
        return 1000 * (end - start), 1000 * (end - loaded)

    records = [*tf.data.TFRecordDataset([str(shard) for shard in shards]).take(_TIMED)]
    for number in range(_WARM_UP):
        answer(records[number % len(records)])
    times: list[float] = []
    network: list[float] = []
    began = time.perf_counter()
    for number in range(_TIMED):
        whole, part = answer(records[number % len(records)])
        times.append(whole)
        network.append(part)
        if len(times) >= _LEAST_TIMED and time.perf_counter() - began > _TIMING_SECONDS:
            break
    return Speed(
        latency_ms=statistics.median(times),
        latency_p95_ms=float(np.percentile(times, 95)),
        network_ms=statistics.median(network),
        images_per_second=predictions.images_per_second,
        batch_size=predictions.batch_size,
        size_bytes=weights.stat().st_size,
        device="GPU" if tf.config.list_physical_devices("GPU") else "CPU",
    )


def first_images(shards: Sequence[Path], count: int) -> list[tuple[int, bytes]]:
    """The first `count` images of the shards as `(image_id, encoded bytes)`."""
    return list(_images(tf.data.TFRecordDataset([str(shard) for shard in shards]).take(count)))


def images_of(shards: Sequence[Path], image_ids: Sequence[int]) -> dict[int, bytes]:
    """The encoded bytes of some images by id, in the order of `image_ids`."""
    wanted = set(image_ids)
    records = tf.data.TFRecordDataset([str(shard) for shard in shards])
    found = {image_id: encoded for image_id, encoded in _images(records) if image_id in wanted}
    return {image_id: found[image_id] for image_id in image_ids if image_id in found}


def encoded_images(shards: Sequence[Path]) -> Iterator[tuple[int, bytes, tuple[int, int]]]:
    """The images of the shards one by one: id, encoded bytes, and `(height, width)`."""
    for record in tf.data.TFRecordDataset([str(shard) for shard in shards]):
        parsed = {name: value.numpy() for name, value in tf.io.parse_single_example(record, _FEATURES).items()}
        size = int(parsed["image/height"]), int(parsed["image/width"])
        yield int(parsed["image/source_id"]), parsed["image/encoded"], size


def _images(records: Any) -> Iterator[tuple[int, bytes]]:
    for record in records:
        parsed = tf.io.parse_single_example(record, _FEATURES)
        yield int(parsed["image/source_id"].numpy()), parsed["image/encoded"].numpy()
