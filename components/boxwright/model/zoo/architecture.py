"""The differences between the zoo's archives: one row per archive. Loads no TensorFlow."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Backbone = Literal["resnet50", "resnet101", "resnet152", "mobilenet_v1", "mobilenet_v2"]
COCO_CLASSES = 90
BATCH_NORM_EPSILON = 1e-3
CLASS_PRIOR_BIAS = -4.6
FOCAL_ALPHA = 0.25
HEAD_STDDEV = 0.01


@dataclass(frozen=True)
class ZooArchitecture:
    """One detector of the zoo.

    Attributes:
        extractor: the feature extractor's type in the archive's `pipeline.config`.
        backbone: image encoder: one of `Backbone`, or `efficientnet-b0` to `-b3`.
        pyramid: how the levels 3 to 7 are made.
        filters: channels of every pyramid level and head layer.
        head_layers: convolutions before the prediction layer of each head.
        separable: depthwise-separable convolutions in pyramid and heads.
        shared_tower: one tower for boxes and classes.
        head_bias: biases in the towers' convolutions.
        activation: of pyramid and heads.
        batch_norm_momentum: of every batch norm.
        weight_decay: L2 factor on the kernels, as Keras's `L2` takes it, of pyramid and heads.
        backbone_decay: the same of the image encoder.
        background: class slots before the first class.
        focal_gamma: exponent of the focal loss.
        nms_iou: IoU above which the weaker of two boxes of a class is dropped.
        box_scales: what centres and sizes are multiplied with in the box code: y, x, height, width.
        keep_aspect: whether images are padded instead of stretched.
        bifpn_iterations: repetitions of the pyramid's two passes.
    """

    extractor: str
    backbone: str
    pyramid: Literal["fpn", "bifpn"]
    filters: int
    head_layers: int = 4
    separable: bool = False
    shared_tower: bool = False
    head_bias: bool = False
    activation: Literal["relu6", "swish"] = "relu6"
    batch_norm_momentum: float = 0.997
    weight_decay: float = 2e-5
    backbone_decay: float = 2e-5
    background: int = 1
    focal_gamma: float = 2.0
    nms_iou: float = 0.6
    box_scales: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    keep_aspect: bool = False
    bifpn_iterations: int = 0

    @property
    def slots(self) -> int:
        """Class slots of the published head."""
        return self.background + COCO_CLASSES

    def as_arguments(self) -> dict[str, Any]:
        """The row as the catalogue keeps it."""
        return asdict(self)


_RESNET = ZooArchitecture("", "", pyramid="fpn", filters=256, weight_decay=2e-4, backbone_decay=2e-4)
MOBILENET_V1 = ZooArchitecture("ssd_mobilenet_v1_fpn_keras", "mobilenet_v1", pyramid="fpn", filters=256)
MOBILENET_V2 = ZooArchitecture(
    "ssd_mobilenet_v2_fpn_keras", "mobilenet_v2", pyramid="fpn", filters=128, separable=True, shared_tower=True
)
_EFFICIENTDET = ZooArchitecture(
    "",
    "",
    pyramid="bifpn",
    filters=0,
    head_layers=3,
    separable=True,
    head_bias=True,
    activation="swish",
    batch_norm_momentum=0.99,
    backbone_decay=5e-6,
    background=0,
    focal_gamma=1.5,
    nms_iou=0.5,
    box_scales=(1.0, 1.0, 1.0, 1.0),
    keep_aspect=True,
)


def resnet(depth: int) -> ZooArchitecture:
    """SSD with a feature pyramid over ResNet v1 of 50, 101 or 152 layers."""
    return replace(_RESNET, extractor=f"ssd_resnet{depth}_v1_fpn_keras", backbone=f"resnet{depth}")


def efficientdet(index: int, filters: int, iterations: int, head_layers: int = 3) -> ZooArchitecture:
    """EfficientDet D0 to D3; they differ in the encoder, and in width and depth of pyramid and heads."""
    return replace(
        _EFFICIENTDET,
        extractor=f"ssd_efficientnet-b{index}_bifpn_keras",
        backbone=f"efficientnet-b{index}",
        filters=filters,
        bifpn_iterations=iterations,
        head_layers=head_layers,
    )
