"""The smallest detector that trains: five convolutions, of which the last two say box and class of each place.

For tests of what surrounds a model: its graphs take a small part of the time that those of the catalogue's smallest do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from boxwright.model import ClassWeights, Detector, ModelSpec, Resizing, anchor_candidates, decode_anchors

STRIDE = 8
# Pixels, as wide and as high: a place's box is told against one of these around its middle.
ANCHOR = 32.0
PRIOR_BIAS = -4.6


class Speck(Detector):
    """One map of stride 8, and at each of its places one box and a score for each class.

    Its raw outputs are those that `decode_anchors` reads. A place learns the smallest box that its middle lies in.
    """

    def __init__(self, spec: ModelSpec, num_classes: int, image_size: int) -> None:
        images = keras.Input((image_size, image_size, 3), name="images")
        maps = keras.layers.Rescaling(1 / 128, -127 / 128)(images)
        maps = keras.layers.Conv2D(8, 5, 2, "same", activation="relu")(maps)
        maps = keras.layers.BatchNormalization()(maps)
        for filters in (16, 32):
            maps = keras.layers.Conv2D(filters, 5, 2, "same", activation="relu")(maps)
        backbone = keras.Model(images, maps, name="backbone")
        boxes = keras.layers.Conv2D(4, 1, kernel_initializer="zeros", name="boxes")
        top = keras.layers.Conv2D(num_classes, 1, bias_initializer=keras.initializers.Constant(PRIOR_BIAS), name="top")
        features = backbone(images)
        outputs = {
            "box_deltas": keras.layers.Reshape((-1, 4), dtype="float32")(boxes(features)),
            "class_logits": keras.layers.Reshape((-1, num_classes), dtype="float32")(top(features)),
        }
        super().__init__(images, outputs, spec, num_classes, Resizing(image_size))
        self.backbone = backbone
        self.top = top

    def middles(self) -> Any:
        """The middle of each place, `(places, 2)`, xy in pixels."""
        line = (tf.range(self.image_size // STRIDE, dtype=tf.float32) + 0.5) * STRIDE
        x, y = tf.meshgrid(line, line)
        return tf.stack([tf.reshape(x, (-1,)), tf.reshape(y, (-1,))], axis=-1)

    def anchors(self) -> Any:
        middles = self.middles()
        return tf.concat([middles - ANCHOR / 2, middles + ANCHOR / 2], axis=-1)

    def decode(self, outputs: Any) -> dict[str, Any]:
        return decode_anchors(outputs, self.anchors(), self.image_size, self.nms)

    def candidates(self, outputs: Any) -> tuple[Any, Any]:
        return anchor_candidates(outputs, self.anchors(), self.image_size)

    def loss_sums(self, images: Any, targets: dict[str, Any], outputs: Any) -> tuple[Any, Any, Any]:
        middles, boxes = self.middles()[None, :, None], targets["boxes"][:, None]
        inside = tf.reduce_all((boxes[..., :2] < middles) & (middles < boxes[..., 2:]), axis=-1)
        areas = tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
        smallest = tf.argmin(tf.where(inside, areas, float("inf")), axis=-1)
        positive = tf.cast(tf.reduce_any(inside, axis=-1), tf.float32)
        box = tf.gather(targets["boxes"], smallest, batch_dims=1)
        label = tf.cast(tf.gather(targets["labels"], smallest, batch_dims=1), tf.int32)
        sizes = tf.maximum(box[..., 2:] - box[..., :2], 1.0)
        shift = ((box[..., :2] + box[..., 2:]) / 2 - self.middles()) / ANCHOR
        expected = tf.concat([shift, tf.math.log(sizes / ANCHOR)], axis=-1)
        error = tf.reduce_sum(tf.abs(expected - outputs["box_deltas"]), axis=-1)
        one_hot = tf.one_hot(label, self.num_classes) * positive[..., None]
        focal = keras.losses.binary_focal_crossentropy(one_hot, outputs["class_logits"], from_logits=True)
        return tf.reduce_sum(error * positive), tf.reduce_sum(focal) * self.num_classes, tf.reduce_sum(positive)

    def class_weights(self) -> list[ClassWeights]:
        kernel = keras.initializers.GlorotUniform()
        return [
            ClassWeights(self.top, self.top.kernel, self.num_classes, kernel),
            ClassWeights(self.top, self.top.bias, self.num_classes, lambda shape: ops.full(shape, PRIOR_BIAS)),
        ]

    def encoder_variables(self) -> list[Any]:
        return list(self.backbone.trainable_variables)

    def load_pretrained(self, folder: Path) -> None:
        raise NotImplementedError("there are none")


class Cracked(Speck):
    """Cannot be built for one size: a crash that nobody expected."""

    def __init__(self, spec: ModelSpec, num_classes: int, image_size: int) -> None:
        if image_size == 96:
            raise ValueError("cracked at 96 pixels")
        super().__init__(spec, num_classes, image_size)
