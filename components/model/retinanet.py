"""RetinaNet (arxiv.org/abs/1708.02002) from KerasHub's parts, with what keeps it from learning put right.

KerasHub's own `RetinaNetObjectDetector` puts the prior-probability bias on the box head instead of the class head,
has heads and a pyramid fixed at 256 filters, and averages the losses over all anchors. Here the prior is where the
paper has it, the heads are normalised by groups (which small batches need), their width is the model's choice, and
both losses are sums over the anchors divided by the number of positive ones.
"""

from __future__ import annotations

from typing import Any

import keras
import keras_hub
from keras import ops
from keras_hub.src.models.retinanet.feature_pyramid import FeaturePyramid
from keras_hub.src.models.retinanet.prediction_head import PredictionHead
from keras_hub.src.models.retinanet.retinanet_label_encoder import RetinaNetLabelEncoder

from components.model.catalogue import ASPECT_RATIOS, MAX_LEVEL, MIN_LEVEL, SCALES_PER_OCTAVE, ModelSpec

PRIOR_PROBABILITY = 0.01
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
IGNORED_LABEL = -2.0


class RetinaNet(keras.Model):
    """A one-stage detector over a feature pyramid.

    Takes float images `(batch, size, size, 3)` in [0, 255] and returns `{"box_deltas": (batch, anchors, 4),
    "class_logits": (batch, anchors, classes)}`; deltas are `(dx, dy, log w, log h)` against the anchors. Trains on
    `{"boxes": (batch, n, 4), "labels": (batch, n)}`: xyxy in pixels and 0-based classes, padded with -1.

    Args:
        spec: the catalogue's row.
        num_classes: classes, without background.
        image_size: input height and width in pixels.
    """

    def __init__(self, spec: ModelSpec, num_classes: int, image_size: int) -> None:
        images = keras.Input((image_size, image_size, 3), name="images")
        encoder = keras_hub.models.EfficientNetBackbone(**spec.backbone, name="encoder")
        levels = {f"P{i}": encoder.pyramid_outputs[f"P{i}"] for i in range(MIN_LEVEL, 6)}
        features = keras.Model(encoder.inputs, levels, name="backbone")
        pyramid = FeaturePyramid(MIN_LEVEL, MAX_LEVEL, use_p5=False, num_filters=spec.head_filters, name="pyramid")
        anchors = keras_hub.layers.AnchorGenerator(
            "xyxy", MIN_LEVEL, MAX_LEVEL, SCALES_PER_OCTAVE, list(ASPECT_RATIOS), spec.anchor_scale, name="anchors"
        )
        box_head = _head("box_head", spec, anchors.num_base_anchors * 4, has_prior=False)
        class_head = _head("class_head", spec, anchors.num_base_anchors * num_classes, has_prior=True)

        maps = list(pyramid(features(keras.layers.Rescaling(1 / 128, -127 / 128)(images))).values())
        deltas = [keras.layers.Reshape((-1, 4))(box_head(level)) for level in maps]
        logits = [keras.layers.Reshape((-1, num_classes))(class_head(level)) for level in maps]
        super().__init__(
            images,
            {
                "box_deltas": keras.layers.Concatenate(axis=1, name="box_deltas", dtype="float32")(deltas),
                "class_logits": keras.layers.Concatenate(axis=1, name="class_logits", dtype="float32")(logits),
            },
            name="retinanet",
        )
        self.num_classes = num_classes
        self.image_size = image_size
        self.backbone = features
        self.box_head = box_head
        self.class_head = class_head
        self.anchor_generator = anchors
        self.label_encoder = RetinaNetLabelEncoder(anchors, "xyxy", encoding_format="center_xywh")
        self.localization_loss = keras.metrics.Mean(name="localization_loss")
        self.classification_loss = keras.metrics.Mean(name="classification_loss")

    def anchor_boxes(self) -> Any:
        """All anchors of the model's input, `(anchors, 4)`, xyxy in pixels."""
        levels = self.anchor_generator(ops.zeros((1, self.image_size, self.image_size, 3)))
        return ops.concatenate(list(levels.values()), axis=0)

    def freeze_batch_norm(self) -> None:
        """Keeps the encoder's batch statistics as they are, in training too."""
        for layer in self.backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False

    def train_only_on_top_layer(self) -> None:
        """Leaves nothing trainable but the last layer of the class head."""
        top = self.class_head.prediction_layer
        for layer in [self.backbone, self.get_layer("pyramid"), self.box_head]:
            layer.trainable = False
        for layer in [*self.class_head.conv_layers, *self.class_head.group_norm_layers]:
            layer.trainable = False
        top.trainable = True

    def reinitialize_top_layer(self) -> None:
        """Gives the last layer of the class head fresh weights."""
        top = self.class_head.prediction_layer
        top.kernel.assign(keras.initializers.RandomNormal(stddev=0.01)(top.kernel.shape))
        top.bias.assign(_prior_bias(top.bias.shape))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Focal loss of the classes plus the absolute error of the box deltas, each per positive anchor."""
        targets, labels = self.label_encoder(x, y["boxes"], y["labels"])
        positive = ops.cast(labels >= 0, "float32")
        counted = ops.cast(ops.not_equal(labels, IGNORED_LABEL), "float32")
        positives = ops.maximum(ops.sum(positive), 1.0)

        one_hot = ops.one_hot(ops.cast(labels, "int32"), self.num_classes, dtype="float32")
        focal = keras.losses.binary_focal_crossentropy(
            one_hot,
            y_pred["class_logits"],
            apply_class_balancing=True,
            alpha=FOCAL_ALPHA,
            gamma=FOCAL_GAMMA,
            from_logits=True,
        )
        # Keras averages over the classes, the paper sums.
        classification = ops.sum(focal * counted) * self.num_classes / positives
        error = ops.sum(ops.abs(targets - y_pred["box_deltas"]), axis=-1)
        localization = ops.sum(ops.where(positive > 0, error, 0.0)) / positives
        self.classification_loss.update_state(classification)
        self.localization_loss.update_state(localization)
        return classification + localization


def _prior_bias(shape: Any) -> Any:
    return ops.full(shape, -float(ops.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY)))


def _head(name: str, spec: ModelSpec, outputs: int, has_prior: bool) -> Any:
    return PredictionHead(
        output_filters=outputs,
        num_filters=spec.head_filters,
        num_conv_layers=spec.head_layers,
        use_group_norm=True,
        use_prior_probability=has_prior,
        prior_probability=PRIOR_PROBABILITY,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        name=name,
    )
