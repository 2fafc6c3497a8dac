"""A model that is quick to load and sees something definite: where a red and a blue rectangle are."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

LABELS = ("red thing", "blue <thing> ☃")
CATEGORY_IDS = (7, 3)
RED, BLUE = (220, 20, 20), (20, 20, 220)
# A scene of 200 x 100 pixels: a red and a blue rectangle, [xmin, ymin, xmax, ymax] in pixels.
RED_BOX, BLUE_BOX = (20, 10, 80, 40), (110, 50, 190, 90)


def scene(width: int = 200, height: int = 100, ground: tuple[int, int, int] = (230, 230, 230)) -> Image.Image:
    """The two rectangles, stretched to a size."""
    picture = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(picture)
    for box, colour in ((RED_BOX, RED), (BLUE_BOX, BLUE)):
        xmin, ymin, xmax, ymax = box
        sides = (xmin * width / 200, ymin * height / 100, xmax * width / 200 - 1, ymax * height / 100 - 1)
        draw.rectangle(sides, fill=colour)
    return picture


def encoded(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}) | options)
    return buffer.getvalue()


def export_finder(folder: Path, red_score: float = 0.9, nan: bool = False) -> None:
    """A SavedModel that finds the extent of what is red and of what is blue, with two fixed scores."""
    import tensorflow as tf

    class Finder(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.red_score = tf.Variable(float("nan") if nan else red_score)

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="encoded_images")])
        def serve(self, encoded_images: Any) -> dict[str, Any]:
            def look(data: Any) -> Any:
                image = tf.cast(tf.io.decode_image(data, channels=3, expand_animations=False), tf.int32)
                image = tf.ensure_shape(image, (None, None, 3))
                size = tf.cast(tf.shape(image)[:2], tf.float32)
                boxes = []
                for strong, weak in ((0, 2), (2, 0)):
                    places = tf.where((image[..., strong] > 150) & (image[..., weak] < 100) & (image[..., 1] < 100))
                    places = tf.cast(places, tf.float32)
                    low, high = tf.reduce_min(places, 0) / size, (tf.reduce_max(places, 0) + 1) / size
                    box = tf.concat([low, high], 0)
                    boxes.append(tf.where(tf.shape(places)[0] > 0, box, tf.zeros(4)))
                return tf.stack(boxes)

            boxes = tf.map_fn(look, encoded_images, fn_output_signature=tf.TensorSpec((2, 4), tf.float32))
            count = tf.shape(boxes)[0]
            scores = tf.tile([[self.red_score, 0.25, 0.0]], [count, 1])
            classes = tf.tile([[1.0, 2.0, 0.0]], [count, 1])
            return {
                "detection_boxes": tf.pad(boxes, [[0, 0], [0, 1], [0, 0]]),
                "detection_scores": scores,
                "detection_classes": classes,
                "num_detections": tf.fill([count], 2),
            }

    module = Finder()
    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": module.serve})


def export_slow_finder(folder: Path, seconds: float) -> None:
    """One that sees the same two fixed boxes on everything, and takes its time whatever the machine."""
    import tensorflow as tf

    class Slow(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="encoded_images")])
        def serve(self, encoded_images: Any) -> dict[str, Any]:
            started = tf.timestamp()

            def goes_on(_: Any) -> Any:
                return tf.timestamp() - started < seconds

            (turns,) = tf.while_loop(goes_on, lambda turns: (turns + 1,), (tf.constant(0),))
            count = tf.shape(encoded_images)[0] + 0 * turns
            return {
                "detection_boxes": tf.tile([[[0.1, 0.1, 0.4, 0.4]]], [count, 1, 1]),
                "detection_scores": tf.fill([count, 1], 0.9),
                "detection_classes": tf.ones([count, 1]),
                "num_detections": tf.fill([count], 1),
            }

    module = Slow()
    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": module.serve})


def write_facts(folder: Path, threshold: float | None = 0.5) -> None:
    card = {"model_id": "tiny", "image_size": 64, "classes": LABELS, "category_ids": CATEGORY_IDS}
    (folder / "model.json").write_text(json.dumps(card))
    metrics = {"split": "test", "metrics": {"AP": 0.5, "AP50": 0.75}, "per_class": {}}
    measured = metrics if threshold is None else metrics | {"threshold": threshold}
    (folder / "metrics.json").write_text(json.dumps(measured))
