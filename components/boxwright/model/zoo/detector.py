"""A detector of the TensorFlow 2 detection zoo as a model family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from boxwright.model import AnchorGrid, ClassWeights, Detector, ModelSpec, Selection
from boxwright.model.zoo.anchors import anchor_boxes
from boxwright.model.zoo.architecture import CLASS_PRIOR_BIAS, HEAD_STDDEV, ZooArchitecture
from boxwright.model.zoo.bifpn import bidirectional_pyramid
from boxwright.model.zoo.boxes import decode
from boxwright.model.zoo.efficientnet import efficientnet
from boxwright.model.zoo.fpn import feature_pyramid
from boxwright.model.zoo.heads import predict
from boxwright.model.zoo.layers import CheckpointObjects, LayerFactory
from boxwright.model.zoo.losses import assign_targets, box_loss, focal_loss
from boxwright.model.zoo.mobilenet import mobilenet_v1, mobilenet_v2
from boxwright.model.zoo.pixels import ZooResizing, mean_colour, normalised
from boxwright.model.zoo.postprocess import SCORE_THRESHOLD, detections
from boxwright.model.zoo.resnet import resnet
from boxwright.model.zoo.weights import load_weights


class BoxCode(keras.layers.Layer):
    """Keeps the scales of the box code beside the weights that were trained with them; changes nothing."""

    def __init__(self, scales: tuple[float, ...], **settings: Any) -> None:
        super().__init__(**settings)
        self.scales = self.add_weight(
            shape=(len(scales),),
            initializer=lambda shape, dtype=None: tf.constant(scales, dtype),
            trainable=False,
            name="scales",
        )

    def call(self, inputs: Any) -> Any:
        """The box code as it is."""
        return inputs


class ZooDetector(Detector):
    """SSD with a feature pyramid, or EfficientDet.

    Its raw outputs are `{"box_encodings": (batch, anchors, 4), "class_logits": (batch, anchors, slots)}`: the code
    `(ty, tx, th, tw)` of `boxes.encode`, and scores before the sigmoid. A slot is a class; SSD's first is background,
    and never trained.

    Attributes:
        architecture: the zoo's own facts.
        anchors: `(anchors, 4)`, `[ymin, xmin, ymax, xmax]` in shares of the input.
        checkpoint_objects: layers by their key in the original's checkpoints.
        unused_objects: the same of layers that are in the checkpoints only.
        stages: symbolic tensors of the network: `backbone` and `pyramid`, lists from fine to coarse, and `raw`.
    """

    def __init__(self, spec: ModelSpec, num_classes: int, image_size: int) -> None:
        architecture = ZooArchitecture(**spec.architecture)
        grid = spec.anchors or AnchorGrid(scale=4.0)
        used, unused = CheckpointObjects(), CheckpointObjects()
        images = keras.Input((image_size, image_size, 3), name="images")
        ends = _backbone(normalised(images, architecture.backbone), architecture, used, unused)
        levels = _pyramid(ends, architecture, used)
        head = LayerFactory(architecture, used, architecture.weight_decay)
        shapes = len(grid.aspect_ratios) * grid.scales_per_octave
        predicted = predict(levels, shapes, architecture.background + num_classes, head)
        code = BoxCode(architecture.box_scales, name="box_code", dtype="float32")
        outputs = {"box_encodings": code(predicted.boxes), "class_logits": predicted.classes}
        resizing = ZooResizing(image_size, architecture.keep_aspect, mean_colour(architecture.backbone))
        super().__init__(images, outputs, spec, num_classes, resizing)
        self.architecture = architecture
        self.anchors = anchor_boxes(grid, image_size)
        self.box_code = code
        self.class_layer = predicted.class_layer
        self.checkpoint_objects = used
        self.unused_objects = unused
        self.stages = {"backbone": ends, "pyramid": levels, "raw": outputs}

    def targets(self, targets: dict[str, Any]) -> Any:
        """The targets of a batch's raw outputs: `losses.Targets` of the boxes that `fit` is given."""
        boxes = tf.gather(tf.cast(targets["boxes"], tf.float32), [1, 0, 3, 2], axis=-1) / float(self.image_size)
        background = self.architecture.background
        slots = background + self.num_classes
        return assign_targets(self.anchors, boxes, targets["labels"], self.box_code.scales, slots, background)

    def loss_sums(self, images: Any, targets: dict[str, Any], outputs: Any) -> tuple[Any, Any, Any]:
        """Huber loss of the matched anchors' codes, focal loss of all slots, matched anchors."""
        expected = self.targets(targets)
        localization = box_loss(outputs["box_encodings"], expected)
        classification = focal_loss(outputs["class_logits"], expected, self.architecture.focal_gamma)
        return localization, classification, tf.reduce_sum(tf.cast(expected.matched >= 0, tf.float32))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Adds weight decay, which belongs to the zoo's loss, to what is learned from."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training:
            return loss
        return loss + tf.add_n(self.losses) / tf.distribute.get_strategy().num_replicas_in_sync if self.losses else loss

    def encoder_variables(self) -> list[Any]:
        """See `Detector`."""
        return list(keras.Model(self.inputs, self.stages["backbone"]).trainable_variables)

    def decode(self, outputs: Any) -> dict[str, Any]:
        """See `Detector`."""
        return self.decode_within(outputs, tf.ones((tf.shape(outputs["box_encodings"])[0], 2)))

    def decode_within(self, outputs: Any, extents: Any) -> dict[str, Any]:
        """See `Detector`; boxes outside the image are dropped before the best are chosen."""
        return detections(*self.candidates(outputs), extents, self.architecture.nms_iou, self.nms)

    def candidates(self, outputs: Any) -> tuple[Any, Any]:
        """See `Detector`."""
        boxes = decode(outputs["box_encodings"], self.anchors, self.box_code.scales)
        return boxes, tf.sigmoid(outputs["class_logits"])[..., self.architecture.background :]

    @property
    def selection(self) -> Selection:
        """See `Detector`."""
        return Selection(self.nms, self.architecture.nms_iou, SCORE_THRESHOLD, candidates=None, needs_area=True)

    def class_weights(self) -> list[ClassWeights]:
        """The class predictor's last kernel and its bias."""
        layer, background = self.class_layer, self.architecture.background
        if self.architecture.separable:
            kernel, fresh = layer.pointwise_kernel, keras.initializers.GlorotUniform()
        else:
            kernel, fresh = layer.kernel, keras.initializers.RandomNormal(stddev=HEAD_STDDEV)
        bias = keras.initializers.Constant(CLASS_PRIOR_BIAS)
        return [
            ClassWeights(layer, kernel, self.num_classes, fresh, background),
            ClassWeights(layer, layer.bias, self.num_classes, bias, background),
        ]

    def train_only_on_top_layer(self) -> None:
        """See `Detector`; the depthwise part of a separable convolution stays as it is."""
        super().train_only_on_top_layer()
        if self.architecture.separable:
            self.class_layer.depthwise_kernel.trainable = False

    def load_pretrained(self, folder: Path) -> None:
        """Weights of one of the zoo's archives, from the weights store."""
        load_weights(self, folder)


def _backbone(
    pixels: Any, architecture: ZooArchitecture, used: CheckpointObjects, unused: CheckpointObjects
) -> list[Any]:
    """The maps that the pyramid is made of, at strides 8, 16 and 32."""
    is_efficientnet = architecture.backbone.startswith("efficientnet")
    make = LayerFactory(architecture, used, architecture.backbone_decay, not is_efficientnet)
    if is_efficientnet:
        return efficientnet(pixels, make, unused)
    builders = {"mobilenet_v1": mobilenet_v1, "mobilenet_v2": mobilenet_v2}
    return builders.get(architecture.backbone, resnet)(pixels, make)


def _pyramid(ends: list[Any], architecture: ZooArchitecture, used: CheckpointObjects) -> list[Any]:
    make = LayerFactory(architecture, used, architecture.weight_decay)
    if architecture.pyramid == "bifpn":
        return bidirectional_pyramid(ends, make)
    return feature_pyramid(ends[-3:], make)
