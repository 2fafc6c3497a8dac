"""A detector without training: the extent of what is red and of what is blue, with two fixed scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from boxwright.model import ClassWeights, Detector, ModelSpec, Resizing


class _Sharp(Resizing):
    """Pixels as they are: edges stay where they were."""

    def scale(self, image: Any, size: Any) -> Any:
        return tf.image.resize(image, size, method="nearest")


class _Settings(keras.layers.Layer):
    """What tests set, kept among the weights; gives its input on."""

    def build(self, _: Any) -> None:
        self.red_score = self.add_weight(shape=(), name="red_score", initializer="zeros")
        self.seconds = self.add_weight(shape=(), name="seconds", initializer="zeros")

    def call(self, images: Any) -> Any:
        return images


class Finder(Detector):
    """Its weights are the score of what is red, and the least seconds that a batch takes."""

    def __init__(self, spec: ModelSpec, num_classes: int, image_size: int) -> None:
        images = keras.Input((image_size, image_size, 3), name="images")
        settings = _Settings(name="settings")
        super().__init__(images, {"images": settings(images)}, spec, num_classes, _Sharp(image_size))
        self.settings = settings

    def decode(self, outputs: Any) -> dict[str, Any]:
        images = self._after_a_while(tf.cast(outputs["images"], tf.int32))
        boxes = tf.map_fn(self._look, images, fn_output_signature=tf.TensorSpec((2, 4), tf.float32))
        count = tf.shape(boxes)[0]
        scores = tf.stack([tf.convert_to_tensor(self.settings.red_score), 0.25, 0.0])
        return {
            "detection_boxes": tf.pad(boxes, [[0, 0], [0, 1], [0, 0]]),
            "detection_scores": tf.tile(scores[None], [count, 1]),
            "detection_classes": tf.tile([[1.0, 2.0, 0.0]], [count, 1]),
            "num_detections": tf.fill([count], 2),
        }

    def candidates(self, outputs: Any) -> tuple[Any, Any]:
        """What `decode` finds, by operations that other formats have; it takes no time."""
        images, boxes = tf.cast(outputs["images"], tf.float32), []
        for strong, weak in ((0, 2), (2, 0)):
            found = (images[..., strong] > 150) & (images[..., weak] < 100) & (images[..., 1] < 100)
            sides = [tf.cast(tf.reduce_any(found, axis), tf.int32) for axis in (2, 1)]
            low = [tf.argmax(side, -1, tf.int32) for side in sides]
            high = [self.image_size - tf.argmax(side[:, ::-1], -1, tf.int32) for side in sides]
            boxes.append(tf.cast(tf.stack([*low, *high], -1), tf.float32) / self.image_size)
        red = tf.convert_to_tensor(self.settings.red_score)
        scores = tf.stack([tf.stack([red, 0.0]), tf.constant([0.0, 0.25])])
        return tf.stack(boxes, axis=1), tf.tile(scores[None], [tf.shape(images)[0], 1, 1])

    def _look(self, image: Any) -> Any:
        boxes = []
        for strong, weak in ((0, 2), (2, 0)):
            places = tf.where((image[..., strong] > 150) & (image[..., weak] < 100) & (image[..., 1] < 100))
            places = tf.cast(places, tf.float32)
            box = tf.concat([tf.reduce_min(places, 0), tf.reduce_max(places, 0) + 1], 0) / self.image_size
            boxes.append(tf.where(tf.shape(places)[0] > 0, box, tf.zeros(4)))
        return tf.stack(boxes)

    def _after_a_while(self, images: Any) -> Any:
        until = tf.timestamp() + tf.cast(tf.convert_to_tensor(self.settings.seconds), tf.float64)
        (turns,) = tf.while_loop(lambda _: tf.timestamp() < until, lambda turns: (turns + 1,), (tf.constant(0),))
        return images + 0 * turns

    def loss_sums(self, images: Any, targets: dict[str, Any], outputs: Any) -> tuple[Any, Any, Any]:
        raise NotImplementedError("it is not trained")

    def class_weights(self) -> list[ClassWeights]:
        return []

    def encoder_variables(self) -> list[Any]:
        return []

    def load_pretrained(self, folder: Path) -> None:
        raise NotImplementedError("there are none")
