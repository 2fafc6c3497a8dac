"""MobileNet v1 (arxiv.org/abs/1704.04861) and v2 (arxiv.org/abs/1801.04381) with padding SAME everywhere."""

from __future__ import annotations

from typing import Any

import keras

from boxwright.model.zoo.layers import FEATURES, LayerFactory, Sequence

# Output channels and stride of each depthwise-pointwise pair.
_V1 = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
_V1_ENDS = (3, 5, 11, 13)
# Expansion, output channels, repetitions and first stride of each stage.
_V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
_V2_ENDS = ("block_2", "block_5", "block_12")


def _numbered(make: LayerFactory) -> Sequence:
    return Sequence(make.at, f"{FEATURES}/classification_backbone")


def mobilenet_v1(images: Any, make: LayerFactory) -> list[Any]:
    """The feature maps after pointwise convolutions 3, 5, 11 and 13, at strides 4, 8, 16 and 32."""
    number = _numbered(make)
    x = number(make.conv(32, 3, "conv1", 2))(images)
    x = make.activation("conv1_relu")(number(make.batch_norm("conv1_bn"))(x))
    ends = []
    for index, (filters, strides) in enumerate(_V1, start=1):
        x = number(make.depthwise(3, f"conv_dw_{index}", strides))(x)
        x = make.activation(f"conv_dw_{index}_relu")(number(make.batch_norm(f"conv_dw_{index}_bn"))(x))
        x = number(make.conv(filters, 1, f"conv_pw_{index}"))(x)
        x = make.activation(f"conv_pw_{index}_relu")(number(make.batch_norm(f"conv_pw_{index}_bn"))(x))
        if index in _V1_ENDS:
            ends.append(x)
    return ends


def mobilenet_v2(images: Any, make: LayerFactory) -> list[Any]:
    """The sums of blocks 2, 5 and 12 and the last activation, at strides 4, 8, 16 and 32."""
    number = _numbered(make)
    x = number(make.conv(32, 3, "Conv1", 2))(images)
    x = make.activation("Conv1_relu")(number(make.batch_norm("bn_Conv1"))(x))
    ends, block = [], 0
    for expansion, filters, repetitions, first_strides in _V2:
        for repetition in range(repetitions):
            name = f"block_{block}" if block else "expanded_conv"
            x = _inverted_residual(x, expansion, filters, 1 if repetition else first_strides, name, make, number)
            if name in _V2_ENDS:
                ends.append(x)
            block += 1
    x = number(make.conv(1280, 1, "Conv_1"))(x)
    ends.append(make.activation("out_relu")(number(make.batch_norm("Conv_1_bn"))(x)))
    return ends


def _inverted_residual(
    x: Any, expansion: int, filters: int, strides: int, name: str, make: LayerFactory, number: Sequence
) -> Any:
    start, channels = x, x.shape[-1]
    if expansion > 1:
        x = number(make.conv(expansion * channels, 1, f"{name}_expand"))(x)
        x = make.activation(f"{name}_expand_relu")(number(make.batch_norm(f"{name}_expand_BN"))(x))
    x = number(make.depthwise(3, f"{name}_depthwise", strides))(x)
    x = make.activation(f"{name}_depthwise_relu")(number(make.batch_norm(f"{name}_depthwise_BN"))(x))
    x = number(make.conv(filters, 1, f"{name}_project"))(x)
    x = number(make.batch_norm(f"{name}_project_BN"))(x)
    if channels != filters or strides != 1:
        return x
    return keras.layers.Add(name=f"{name}_add")([start, x])
