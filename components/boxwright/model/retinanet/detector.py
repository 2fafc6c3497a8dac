"""RetinaNet (arxiv.org/abs/1708.02002) from KerasHub's parts, with what keeps it from learning put right.

KerasHub's own `RetinaNetObjectDetector` puts the prior-probability bias on the box head instead of the class head,
has heads and a pyramid fixed at 256 filters, and averages the losses over all anchors. Here the prior is where the
paper has it, the heads are normalised by groups (which small batches need), their width is the model's choice, and
both losses are sums over the anchors divided by the number of positive ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_hub
from keras import ops
from keras_hub.src.layers.modeling.box_matcher import BoxMatcher
from keras_hub.src.models.retinanet.feature_pyramid import FeaturePyramid
from keras_hub.src.models.retinanet.prediction_head import PredictionHead
from keras_hub.src.models.retinanet.retinanet_label_encoder import RetinaNetLabelEncoder

from boxwright.model import AnchorGrid, ClassWeights, Detector, ModelSpec, Resizing, anchor_candidates, decode_anchors
from boxwright.model.weights import ENCODER_FILE, load_efficientnet_lite0

PRIOR_PROBABILITY = 0.01
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
IGNORED_LABEL = -2.0


class RetinaNet(Detector):
    """A one-stage detector over a feature pyramid.

    Its raw outputs are `{"box_deltas": (batch, anchors, 4), "class_logits": (batch, anchors, classes)}`; deltas are
    `(dx, dy, log w, log h)` against the anchors. `architecture` holds the arguments of the image encoder, and width
    and depth of both heads.

    Attributes:
        backbone: the image encoder, with an output a pyramid level.
        box_head, class_head: the two prediction heads.
    """

    def __init__(self, spec: ModelSpec, num_classes: int, image_size: int) -> None:
        grid = spec.anchors or AnchorGrid(scale=3.0)
        filters, layers = spec.architecture["head_filters"], spec.architecture["head_layers"]
        images = keras.Input((image_size, image_size, 3), name="images")
        encoder = keras_hub.models.EfficientNetBackbone(**spec.architecture["encoder"], name="encoder")
        levels = {f"P{i}": encoder.pyramid_outputs[f"P{i}"] for i in range(grid.min_level, 6)}
        features = keras.Model(encoder.inputs, levels, name="backbone")
        pyramid = FeaturePyramid(grid.min_level, grid.max_level, use_p5=False, num_filters=filters, name="pyramid")
        anchors = keras_hub.layers.AnchorGenerator(
            "xyxy",
            grid.min_level,
            grid.max_level,
            grid.scales_per_octave,
            list(grid.aspect_ratios),
            grid.scale,
            name="anchors",
        )
        shapes = anchors.num_base_anchors
        box_head = _head("box_head", shapes * 4, filters, layers, has_prior=False)
        class_head = _head("class_head", shapes * num_classes, filters, layers, has_prior=True)

        maps = list(pyramid(features(keras.layers.Rescaling(1 / 128, -127 / 128)(images))).values())
        deltas = [keras.layers.Reshape((-1, 4))(box_head(level)) for level in maps]
        logits = [keras.layers.Reshape((-1, num_classes))(class_head(level)) for level in maps]
        outputs = {
            "box_deltas": keras.layers.Concatenate(axis=1, name="box_deltas", dtype="float32")(deltas),
            "class_logits": keras.layers.Concatenate(axis=1, name="class_logits", dtype="float32")(logits),
        }
        super().__init__(images, outputs, spec, num_classes, Resizing(image_size))
        self.backbone = features
        self.box_head = box_head
        self.class_head = class_head
        self.anchor_generator = anchors
        self.label_encoder = RetinaNetLabelEncoder(anchors, "xyxy", encoding_format="center_xywh")
        self.label_encoder.box_matcher = BestAnchorMatcher(self.label_encoder.box_matcher)

    def anchor_boxes(self) -> Any:
        """All anchors of the model's input, `(anchors, 4)`, xyxy in pixels."""
        levels = self.anchor_generator(ops.zeros((1, self.image_size, self.image_size, 3)))
        return ops.concatenate(list(levels.values()), axis=0)

    def decode(self, outputs: Any) -> dict[str, Any]:
        """See `Detector`."""
        return decode_anchors(outputs, self.anchor_boxes(), self.image_size, self.nms)

    def candidates(self, outputs: Any) -> tuple[Any, Any]:
        """See `Detector`."""
        return anchor_candidates(outputs, self.anchor_boxes(), self.image_size)

    def class_weights(self) -> list[ClassWeights]:
        """Kernel and bias of the class head's last layer."""
        top = self.class_head.prediction_layer
        kernel = keras.initializers.RandomNormal(stddev=0.01)
        return [
            ClassWeights(top, top.kernel, self.num_classes, kernel),
            ClassWeights(top, top.bias, self.num_classes, _prior_bias),
        ]

    def encoder_variables(self) -> list[Any]:
        """See `Detector`."""
        return list(self.backbone.trainable_variables)

    def load_pretrained(self, folder: Path) -> None:
        """ImageNet weights of the image encoder."""
        load_efficientnet_lite0(self.backbone, folder / ENCODER_FILE)

    def loss_sums(self, images: Any, targets: dict[str, Any], outputs: Any) -> tuple[Any, Any, Any]:
        """The absolute error of the positive anchors' box deltas, the focal loss of the classes, positive anchors."""
        deltas, labels = self.label_encoder(images, targets["boxes"], targets["labels"])
        positive = ops.cast(labels >= 0, "float32")
        counted = ops.cast(ops.not_equal(labels, IGNORED_LABEL), "float32")
        one_hot = ops.one_hot(ops.cast(labels, "int32"), self.num_classes, dtype="float32")
        focal = keras.losses.binary_focal_crossentropy(
            one_hot,
            outputs["class_logits"],
            apply_class_balancing=True,
            alpha=FOCAL_ALPHA,
            gamma=FOCAL_GAMMA,
            from_logits=True,
        )
        # Keras averages over the classes, the paper sums.
        classification = ops.sum(focal * counted) * self.num_classes
        error = ops.sum(ops.abs(deltas - outputs["box_deltas"]), axis=-1)
        localization = ops.sum(ops.where(positive > 0, error, 0.0))
        return localization, classification, ops.sum(positive)


class BestAnchorMatcher:
    """Gives every box the anchors that overlap it most, however little that is; the rest as KerasHub's matcher does.

    Without it a box that no anchor overlaps by half is never learnt: every one far below the smallest anchor.
    torchvision's RetinaNet and the Faster R-CNN paper (arxiv.org/abs/1506.01497, section 3.1.2) match this way.
    KerasHub's own `force_match_for_each_col` would match padding boxes too.
    """

    def __init__(self, matcher: BoxMatcher) -> None:
        self.matcher = matcher

    def __call__(self, overlaps: Any) -> tuple[Any, Any]:
        """The box's index and the match value (1 positive, -1 negative, -2 ignored) of each anchor.

        `overlaps` holds the IoU of anchors and boxes, `(batch, anchors, boxes)`; both results are `(batch, anchors)`.
        """
        boxes, values = self.matcher(overlaps)
        best = ops.logical_and(overlaps > 0, ops.equal(overlaps, ops.max(overlaps, axis=1, keepdims=True)))
        is_best = ops.any(best, axis=-1)
        best_boxes = ops.cast(ops.argmax(ops.where(best, overlaps, 0.0), axis=-1), boxes.dtype)
        return ops.where(is_best, best_boxes, boxes), ops.where(is_best, 1, values)


def _prior_bias(shape: Any) -> Any:
    return ops.full(shape, -float(ops.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY)))


def _head(name: str, outputs: int, filters: int, layers: int, has_prior: bool) -> Any:
    return PredictionHead(
        output_filters=outputs,
        num_filters=filters,
        num_conv_layers=layers,
        use_group_norm=True,
        use_prior_probability=has_prior,
        prior_probability=PRIOR_PROBABILITY,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        name=name,
    )
