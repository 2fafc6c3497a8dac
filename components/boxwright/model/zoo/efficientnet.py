"""EfficientNet (arxiv.org/abs/1905.11946) as EfficientDet of the zoo uses it.

Its endpoints have fixed names, so in B1 to B3 they are not the last blocks of their stages. What comes after the last
endpoint, up to ImageNet's logits, is in the checkpoints without being used.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from boxwright.model.zoo.layers import FEATURES, CheckpointObjects, LayerFactory, Sequence

# Kernel, repetitions, stride, expansion and output channels of each stage of B0.
_STAGES = (
    (3, 1, 1, 1, 16),
    (3, 2, 2, 6, 24),
    (5, 2, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (5, 3, 1, 6, 112),
    (5, 4, 2, 6, 192),
    (3, 1, 1, 6, 320),
)
# Factors of width and depth.
_SCALING = {
    "efficientnet-b0": (1.0, 1.0),
    "efficientnet-b1": (1.0, 1.1),
    "efficientnet-b2": (1.1, 1.2),
    "efficientnet-b3": (1.2, 1.4),
}
_ENDS = ((2, 1), (4, 2), (6, 0))
_LAST_END = _ENDS[-1]
_IMAGENET_CLASSES = 1000
_USED, _UNUSED = f"{FEATURES}/_efficientnet", f"{FEATURES}/classification_backbone"


def efficientnet(images: Any, make: LayerFactory, unused: CheckpointObjects) -> list[Any]:
    """The endpoints at strides 8, 16 and 32.

    Args:
        images: normalised pixels.
        make: makes and records the layers.
        unused: receives the layers that are in the checkpoint only.
    """
    width, depth = _SCALING[make.architecture.backbone]
    number = Sequence(make.at, _USED)
    x = number(make.conv(_channels(32, width), 3, "stem_conv", 2))(images)
    x = make.activation("stem_activation")(number(make.batch_norm("stem_bn"))(x))
    ends: list[Any] = []
    for stage, (kernel, repetitions, first_strides, expansion, filters) in enumerate(_STAGES):
        for block in range(math.ceil(depth * repetitions)):
            strides = 1 if block else first_strides
            x = _block(x, kernel, strides, expansion, _channels(filters, width), f"stack{stage}_{block}", make, number)
            if (stage, block) in _ENDS:
                ends.append(x)
            if (stage, block) == _LAST_END:
                after = Sequence(unused, _UNUSED)
                after.count, number = number.count, after
    x = number(make.conv(_channels(1280, width), 1, "top_conv"))(x)
    x = number(make.batch_norm("top_bn"))(x)
    number(keras.layers.Dense(_IMAGENET_CLASSES, name="logits"))(keras.layers.GlobalAveragePooling2D()(x))
    return ends


def _block(
    x: Any, kernel: int, strides: int, expansion: int, filters: int, name: str, make: LayerFactory, number: Sequence
) -> Any:
    start, channels = x, x.shape[-1]
    if expansion > 1:
        x = number(make.conv(expansion * channels, 1, f"{name}_expand_conv"))(x)
        x = make.activation(f"{name}_expand_activation")(number(make.batch_norm(f"{name}_expand_bn"))(x))
    x = number(make.depthwise(kernel, f"{name}_depthwise_conv", strides))(x)
    x = make.activation(f"{name}_depthwise_activation")(number(make.batch_norm(f"{name}_depthwise_bn"))(x))
    weights = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_se_squeeze")(x)
    weights = number(make.conv(max(1, channels // 4), 1, f"{name}_se_reduce_conv", bias=True))(weights)
    weights = make.activation(f"{name}_se_reduce_activation")(weights)
    weights = number(make.conv(expansion * channels, 1, f"{name}_se_expand_conv", bias=True))(weights)
    weights = keras.layers.Activation("sigmoid", name=f"{name}_se_expand_activation")(weights)
    x = keras.layers.Multiply(name=f"{name}_se_excite")([x, weights])
    x = number(make.conv(filters, 1, f"{name}_project_conv"))(x)
    x = number(make.batch_norm(f"{name}_project_bn"))(x)
    if channels != filters or strides != 1:
        return x
    return keras.layers.Add(name=f"{name}_add")([start, x])


def _channels(filters: int, width: float) -> int:
    """The nearest multiple of eight, but no more than a tenth below."""
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded
