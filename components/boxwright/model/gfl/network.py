"""The network of the family: image encoder, a light pyramid, and heads that all of its levels share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import keras_hub
import tensorflow as tf

STRIDES = (8, 16, 32)
PRIOR_PROBABILITY = 0.01
# Batch statistics follow quickly: an epoch may have 20 steps.
_MOMENTUM = 0.9
_KERNEL = 5
# The last layer that the pyramid takes; the encoder's own last one, to 1280 channels, is for classifying images.
_COARSEST = "block7a_project_bn"


def encoder(arguments: dict[str, Any], frozen: tuple[str, ...]) -> Any:
    """The image encoder with the outputs `P3`, `P4` and `P5`, of the strides 8, 16 and 32.

    Args:
        arguments: of KerasHub's `EfficientNetBackbone`.
        frozen: beginnings of the names of layers that do not learn.
    """
    whole = keras_hub.models.EfficientNetBackbone(**arguments, name="encoder")
    levels = {"P3": whole.pyramid_outputs["P3"], "P4": whole.pyramid_outputs["P4"]}
    backbone = keras.Model(whole.inputs, levels | {"P5": whole.get_layer(_COARSEST).output}, name="backbone")
    for layer in backbone.layers:
        if layer.name.startswith(frozen):
            layer.trainable = False
    return backbone


def pyramid(levels: list[Any], filters: int) -> list[Any]:
    """Path aggregation (arxiv.org/abs/1803.01534): each level sees the coarser ones, then the finer ones.

    Args:
        levels: maps of falling size, each half of the one before.
        filters: channels of each map that is returned.
    """
    maps = [_normed(_pointwise(filters, f"lateral_{i}"), f"lateral_{i}")(level) for i, level in enumerate(levels)]
    for i in reversed(range(len(maps) - 1)):
        coarser = keras.layers.UpSampling2D(2, name=f"up_{i}")(maps[i + 1])
        maps[i] = _separable(filters, f"top_down_{i}")(keras.layers.Concatenate()([maps[i], coarser]))
    for i in range(1, len(maps)):
        finer = _separable(filters, f"down_{i}", strides=2)(maps[i - 1])
        maps[i] = _separable(filters, f"bottom_up_{i}")(keras.layers.Concatenate()([maps[i], finer]))
    return maps


class Head:
    """Depthwise separable layers and a last one, shared by all levels; each level has norms of its own.

    Norms are apart because the levels' statistics differ: shared ones would be those of no level.

    Attributes:
        top: the last layer.
    """

    def __init__(self, name: str, filters: int, layers: int, top: Any) -> None:
        self.top = top
        self._name = name
        self._convolutions = [
            (_depthwise(f"{name}_{i}_depthwise"), _pointwise(filters, f"{name}_{i}_pointwise")) for i in range(layers)
        ]

    def __call__(self, level: Any, number: int) -> Any:
        """The head's answer to a map; `number`: of the level."""
        for i, (depthwise, pointwise) in enumerate(self._convolutions):
            level = _normed(depthwise, f"{self._name}_{i}_depthwise_level_{number}")(level)
            level = _normed(pointwise, f"{self._name}_{i}_pointwise_level_{number}")(level)
        return self.top(level)


def last_layer(outputs: int, name: str, bias: Any) -> Any:
    """A head's last layer.

    Args:
        outputs: values at each place.
        name: of the layer.
        bias: its initializer.
    """
    kernel = keras.initializers.RandomNormal(stddev=0.01)
    return keras.layers.Conv2D(outputs, 1, kernel_initializer=kernel, bias_initializer=bias, name=name)


def prior_bias(shape: Any, dtype: Any = None) -> Any:
    """The bias with which every class has `PRIOR_PROBABILITY`."""
    return keras.ops.full(shape, -math.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY), dtype=dtype)


def _separable(filters: int, name: str, strides: int = 1) -> Callable[[Any], Any]:
    depthwise = _normed(_depthwise(f"{name}_depthwise", strides), f"{name}_depthwise")
    pointwise = _normed(_pointwise(filters, f"{name}_pointwise"), f"{name}_pointwise")
    return lambda level: pointwise(depthwise(level))


def _depthwise(name: str, strides: int = 1) -> Any:
    return keras.layers.DepthwiseConv2D(_KERNEL, strides=strides, padding="same", use_bias=False, name=name)


def _pointwise(filters: int, name: str) -> Any:
    return keras.layers.Conv2D(filters, 1, use_bias=False, name=name)


def _normed(convolution: Any, name: str) -> Callable[[Any], Any]:
    """The convolution, then batch norm and ReLU; an exported model has the norm folded into its kernel.

    The norm's statistics are those of the whole batch, on however many devices.
    """
    several_devices = tf.distribute.get_strategy().num_replicas_in_sync > 1
    norm = keras.layers.BatchNormalization(
        momentum=_MOMENTUM, epsilon=1e-3, synchronized=several_devices, name=f"{name}_norm"
    )
    return lambda level: keras.layers.ReLU(name=f"{name}_relu")(norm(convolution(level)))
