"""ResNet v1 (arxiv.org/abs/1512.03385) as the zoo has it: ReLU6 everywhere, no biases, strides on the first 1x1."""

from __future__ import annotations

from typing import Any

import keras

from boxwright.model.zoo.layers import FEATURES, LayerFactory, Sequence

_BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}


def resnet(images: Any, make: LayerFactory) -> list[Any]:
    """The ends of the four stages, at strides 4, 8, 16 and 32."""
    number = Sequence(make.at, f"{FEATURES}/classification_backbone")
    x = keras.layers.ZeroPadding2D(3, name="conv1_pad")(images)
    x = number(make.conv(64, 7, "conv1_conv", 2, padding="valid"))(x)
    x = make.activation("conv1_relu")(number(make.batch_norm("conv1_bn"))(x))
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="pool1_pool")(x)
    ends = []
    for stage, blocks in enumerate(_BLOCKS[make.architecture.backbone]):
        for block in range(blocks):
            name = f"conv{stage + 2}_block{block + 1}"
            strides = 2 if stage and not block else 1
            x = _block(x, 64 << stage, name, strides, block == 0, make, number)
        ends.append(x)
    return ends


def _block(x: Any, filters: int, name: str, strides: int, project: bool, make: LayerFactory, number: Sequence) -> Any:
    shortcut = x
    for step, (size, step_strides) in enumerate([(1, strides), (3, 1)], start=1):
        x = number(make.conv(filters, size, f"{name}_{step}_conv", step_strides))(x)
        x = make.activation(f"{name}_{step}_relu")(number(make.batch_norm(f"{name}_{step}_bn"))(x))
    # The order in which these four are made is the order of their numbers in the checkpoint.
    if project:
        shortcut = number(make.conv(4 * filters, 1, f"{name}_0_conv", strides))(shortcut)
    x = number(make.conv(4 * filters, 1, f"{name}_3_conv"))(x)
    if project:
        shortcut = number(make.batch_norm(f"{name}_0_bn"))(shortcut)
    x = number(make.batch_norm(f"{name}_3_bn"))(x)
    return make.activation(f"{name}_out")(keras.layers.Add(name=f"{name}_add")([shortcut, x]))
