"""How fast a test set is predicted, beside a bare loop over the same model: `python -m benchmarks.prediction`.

One detector (fresh weights, its own input size) is exported as the SavedModel that runs serve. Over the same JPEG
images of 640 x 480 pixels, in turn:

- `boxwright`: `predict_split`, as `evaluate` runs it: reading TFRecords, decoding, network, suppression, and results in
  COCO's format, at the batch size that it chooses for the device;
- `bare loop`: the SavedModel's signature on batches of the same encoded bytes, nothing done with the answers.

Each has a warm-up; shown is the median of some rounds, in images a second.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

IMAGES, ROUNDS = 96, 5
LIMIT_RATIO = 0.9


def main() -> None:
    """Measures both in turn and prints the table; 1 where Boxwright is too slow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-id", default="gfl-efficientnet-lite0-320")
    parser.add_argument("--images", type=int, default=IMAGES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rates, batch_size = measure(options.model_id, options.images, Path(folder))
    table = Table(
        "subject", "images a second", title=f"{options.model_id}, {options.images} images, batch {batch_size}"
    )
    for name, values in rates.items():
        table.add_row(name, f"{median(values):.1f}")
    Console().print(table)
    ratio = median(rates["boxwright"]) / median(rates["bare loop"])
    print(f"boxwright / bare loop: {ratio:.2f} (at least {LIMIT_RATIO:g})")
    raise SystemExit(ratio < LIMIT_RATIO)


def measure(model_id: str, images: int, folder: Path) -> tuple[dict[str, list[float]], int]:
    """Images a second of each subject, a value for each round, and the batch size of both."""
    import tensorflow as tf

    from boxwright.evaluation.predict import device_batch_size, predict_split
    from boxwright.model.catalogue import model_spec
    from boxwright.model.store import ModelCard, build_detector, load_detector, save_detector
    from boxwright.packaging.saved_model import export_saved_model

    classes = ("a", "b", "c")
    card = ModelCard(
        model_id=model_id, image_size=model_spec(model_id).image_size, classes=classes, category_ids=(1, 2, 3)
    )
    save_detector(build_detector(card), card, folder)
    export_saved_model(folder, folder)
    served = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    detector, _ = load_detector(folder)
    encoded = [_picture(seed) for seed in range(images)]
    shard = folder / "examples-00000-of-00001.tfrecord"
    _write(shard, encoded)
    batch_size = device_batch_size()

    def bare() -> float:
        start = time.perf_counter()
        for first in range(0, images, batch_size):
            served(encoded_images=tf.constant(encoded[first : first + batch_size]))["num_detections"].numpy()
        return images / (time.perf_counter() - start)

    rates: dict[str, list[float]] = {"boxwright": [], "bare loop": []}
    bare()
    for _ in range(ROUNDS):
        # Its own clock starts after the first batch, which builds the graph.
        rates["boxwright"].append(predict_split(detector, [shard], (1, 2, 3)).images_per_second or 0.0)
        rates["bare loop"].append(bare())
    return rates, batch_size


def _picture(seed: int) -> bytes:
    """Soft noise: JPEG files of a usual size."""
    import tensorflow as tf

    coarse = np.random.default_rng(seed).integers(0, 255, (24, 32, 3)).astype(np.float32)
    pixels = tf.cast(tf.clip_by_value(tf.image.resize(coarse, (480, 640), "bicubic"), 0, 255), tf.uint8)
    return bytes(tf.io.encode_jpeg(pixels).numpy())


def _write(path: Path, encoded: list[bytes]) -> None:
    import tensorflow as tf

    def feature(value: Any) -> Any:
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, data in enumerate(encoded):
            values = {
                "image/encoded": data,
                "image/source_id": str(number).encode(),
                "image/height": 480,
                "image/width": 640,
            }
            features = tf.train.Features(feature={name: feature(value) for name, value in values.items()})
            writer.write(tf.train.Example(features=features).SerializeToString())


if __name__ == "__main__":
    main()
