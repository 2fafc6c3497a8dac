"""A detector with one box a place: generalized focal loss (arxiv.org/abs/2006.04388), task-aligned assignment.

Each place of three maps predicts one box, as distributions of the distances to its sides, and one score a class, which
learns how well the place's box overlaps the object. There are no anchors: which places learn an object follows from
what they predict (`assignment`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from boxwright.model import ClassWeights, Detector, ModelSpec, Resizing, anchor_candidates, decode_anchors
from boxwright.model.gfl import network
from boxwright.model.gfl.assignment import assign
from boxwright.model.gfl.boxes import (
    BINS,
    boxes_of,
    distances_to,
    distribution_focal_loss,
    generalized_overlaps,
    mean_distances,
    place_grid,
)
from boxwright.model.weights import ENCODER_FILE, load_efficientnet_lite0

_GAMMA = 2.0
_OVERLAP_WEIGHT, _DISTRIBUTION_WEIGHT = 2.0, 0.5
# How fast an untrained distribution falls from bin to bin: boxes of three strides a side.
_FALL = 0.5


class GFL(Detector):
    """A one-stage detector without anchors, over an encoder of few multiplications.

    Its raw outputs are `{"distance_logits": (batch, places, 4 * bins), "class_logits": (batch, places, classes)}`: of
    the distances from a place to the left, top, right and bottom side of its box, in strides.

    Attributes:
        backbone: the image encoder.
    """

    def __init__(self, spec: ModelSpec, num_classes: int, image_size: int) -> None:
        architecture = spec.architecture
        filters, layers = architecture["filters"], architecture["head_layers"]
        images = keras.Input((image_size, image_size, 3), name="images")
        backbone = network.encoder(architecture["encoder"], tuple(architecture["frozen"]))
        maps = list(backbone(keras.layers.Rescaling(1 / 128, -127 / 128)(images)).values())
        maps = network.pyramid(maps, filters)
        box_top = network.last_layer(4 * len(BINS), "box_top", _falling)
        class_top = network.last_layer(num_classes, "class_top", network.prior_bias)
        heads = {
            "distance_logits": network.Head("box_head", filters, layers, box_top),
            "class_logits": network.Head("class_head", filters, layers, class_top),
        }
        outputs = {}
        for name, head in heads.items():
            flat = [
                keras.layers.Reshape((-1, head.top.filters))(head(level, number)) for number, level in enumerate(maps)
            ]
            outputs[name] = keras.layers.Concatenate(axis=1, name=name, dtype="float32")(flat)
        super().__init__(images, outputs, spec, num_classes, Resizing(image_size))
        self.backbone = backbone
        self.class_top = class_top
        self.places, self.strides = place_grid(image_size, network.STRIDES)

    def distances(self, logits: Any) -> Any:
        """The mean of each distribution: `(batch, places, 4)`, in strides."""
        return mean_distances(tf.reshape(tf.cast(logits, tf.float32), (-1, len(self.places), 4, len(BINS))))

    def decode(self, outputs: Any) -> dict[str, Any]:
        """See `Detector`; a place and its stride stand for an anchor."""
        return decode_anchors(*self._as_anchors(outputs), self.image_size, self.nms)

    def candidates(self, outputs: Any) -> tuple[Any, Any]:
        """See `Detector`."""
        return anchor_candidates(*self._as_anchors(outputs), self.image_size)

    def _as_anchors(self, outputs: Any) -> tuple[dict[str, Any], Any]:
        """Raw outputs in the code of anchors, and the anchors."""
        distances = tf.maximum(self.distances(outputs["distance_logits"]), 1e-3)
        before, after = distances[..., :2], distances[..., 2:]
        deltas = tf.concat([(after - before) / 2, tf.math.log(before + after)], axis=-1)
        half = self.strides[:, None] / 2
        anchors = tf.constant(np.concatenate([self.places - half, self.places + half], axis=-1))
        coded = {"box_deltas": deltas, "class_logits": outputs["class_logits"]}
        return coded, anchors

    def class_weights(self) -> list[ClassWeights]:
        """Kernel and bias of the class head's last layer."""
        top = self.class_top
        return [
            ClassWeights(top, top.kernel, self.num_classes, keras.initializers.RandomNormal(stddev=0.01)),
            ClassWeights(top, top.bias, self.num_classes, network.prior_bias),
        ]

    def encoder_variables(self) -> list[Any]:
        """See `Detector`."""
        return list(self.backbone.trainable_variables)

    def load_pretrained(self, folder: Path) -> None:
        """ImageNet weights of the image encoder."""
        load_efficientnet_lite0(self.backbone, folder / ENCODER_FILE)

    def freeze_batch_norm(self) -> None:
        """Keeps the statistics of the encoder, which pretraining measured; those of pyramid and heads are learnt."""
        for layer in self.backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False

    def loss_sums(self, images: Any, targets: dict[str, Any], outputs: Any) -> tuple[Any, Any, Any]:
        """GIoU and distribution focal loss by alignment, quality focal loss of the classes, sum of the alignments."""
        del images
        logits, classes = outputs["distance_logits"], outputs["class_logits"]
        places, strides = tf.constant(self.places), tf.constant(self.strides)
        predicted = boxes_of(self.distances(logits), places, strides)
        found = assign(
            places,
            strides,
            targets["boxes"],
            targets["labels"],
            tf.stop_gradient(predicted),
            tf.stop_gradient(tf.sigmoid(classes)),
        )
        localization = self._box_loss(logits, predicted, found, places, strides)
        return localization, self._class_loss(classes, found), tf.reduce_sum(found.share)

    def _class_loss(self, logits: Any, found: Any) -> Any:
        """Cross-entropy against the quality, which counts by alignment, and elsewhere by how wrong it is.

        Where a place stands for an object all classes count alike: what tells look-alikes apart is learnt there, and
        the focal weight would fade just where the scores are still low and alike. A place at a small object's edge
        is hardly aligned and counts as little as background does: in full it would teach that there is nothing.
        """
        expected = tf.one_hot(found.labels, self.num_classes) * found.quality[..., None]
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=expected, logits=logits)
        wrong = tf.stop_gradient(tf.abs(tf.sigmoid(logits) - expected)) ** _GAMMA
        return tf.reduce_sum(entropy * tf.maximum(found.share[..., None], wrong))

    def _box_loss(self, logits: Any, predicted: Any, found: Any, places: Any, strides: Any) -> Any:
        """Of all places, background by zero: XLA compiles no choice of some whose number the data decide."""
        learning = found.matched >= 0
        # Background has no box: it stands in for itself, which keeps its losses, and their gradients, finite.
        truth = tf.where(learning[..., None], found.boxes, tf.stop_gradient(predicted))
        shape = 1.0 - generalized_overlaps(predicted, truth)
        rows = tf.reshape(logits, (-1, len(self.places), 4, len(BINS)))
        distribution = tf.reduce_mean(distribution_focal_loss(rows, distances_to(truth, places, strides)), axis=-1)
        return tf.reduce_sum(found.share * (_OVERLAP_WEIGHT * shape + _DISTRIBUTION_WEIGHT * distribution))


def _falling(shape: Any, dtype: Any = None) -> Any:
    """A bias with which the nearest bins of the four distributions are the likeliest."""
    return ops.reshape(ops.cast(np.tile(-_FALL * np.arange(len(BINS)), 4), dtype or "float32"), shape)
