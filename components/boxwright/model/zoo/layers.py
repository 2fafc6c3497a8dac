"""Layers of the zoo's networks, and the record of which object of a checkpoint each of them is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras

from boxwright.model.zoo.architecture import BATCH_NORM_EPSILON, ZooArchitecture

FEATURES = "model/_feature_extractor"
PREDICTOR = "model/_box_predictor"


@dataclass
class CheckpointObjects:
    """Keras layers by the object-graph key of the same layer in the original's checkpoints."""

    layers: dict[str, Any] = field(default_factory=dict)

    def __call__(self, key: str, layer: Any) -> Any:
        """Records that `layer` is the checkpoint's object `key`; returns the layer."""
        if key in self.layers:
            raise ValueError(f"{key} is recorded twice")
        self.layers[key] = layer
        return layer


@dataclass
class LayerFactory:
    """Makes layers with what the whole network has in common.

    Attributes:
        architecture: the row.
        at: where the layers are recorded.
        weight_decay: L2 factor on kernels, as Keras's `L2` takes it.
        decay_depthwise: whether depthwise kernels are among them.
    """

    architecture: ZooArchitecture
    at: CheckpointObjects
    weight_decay: float
    decay_depthwise: bool = True

    def conv(self, filters: int, size: int, name: str, strides: int = 1, bias: bool = False, **settings: Any) -> Any:
        """A convolution with padding SAME."""
        settings = {"padding": "same", "kernel_initializer": self._initializer(), **settings}
        return keras.layers.Conv2D(
            filters, size, strides, use_bias=bias, kernel_regularizer=self._decay(), name=name, **settings
        )

    def depthwise(self, size: int, name: str, strides: int = 1) -> Any:
        """A depthwise convolution without bias."""
        return keras.layers.DepthwiseConv2D(
            size,
            strides,
            padding="same",
            use_bias=False,
            depthwise_initializer=self._initializer(),
            depthwise_regularizer=self._decay() if self.decay_depthwise else None,
            name=name,
        )

    def separable(
        self, filters: int, name: str, strides: int = 1, bias: bool = False, decay_pointwise: bool = False
    ) -> Any:
        """A 3x3 depthwise convolution and a 1x1 one, nothing between them."""
        return keras.layers.SeparableConv2D(
            filters,
            3,
            strides,
            padding="same",
            use_bias=bias,
            depthwise_initializer=self._initializer(),
            depthwise_regularizer=self._decay(),
            pointwise_regularizer=self._decay() if decay_pointwise else None,
            name=name,
        )

    def conv3(self, filters: int, name: str, strides: int = 1, bias: bool = False) -> Any:
        """A 3x3 convolution, separable where the architecture's pyramid and heads are."""
        if self.architecture.separable:
            return self.separable(filters, name, strides, bias)
        return self.conv(filters, 3, name, strides, bias)

    def batch_norm(self, name: str) -> Any:
        """Batch normalisation with the zoo's constants."""
        momentum = self.architecture.batch_norm_momentum
        return keras.layers.BatchNormalization(momentum=momentum, epsilon=BATCH_NORM_EPSILON, name=name)

    def activation(self, name: str | None = None) -> Any:
        """ReLU6 or swish."""
        return keras.layers.Activation(self.architecture.activation, name=name)

    def _decay(self) -> Any:
        return keras.regularizers.L2(self.weight_decay)

    def _initializer(self) -> Any:
        # The original's small numbers need batch norms that learn; published weights replace either.
        return keras.initializers.HeNormal()


class Sequence:
    """Layers in the order in which a Keras 2 model numbers those with weights."""

    def __init__(self, at: CheckpointObjects, prefix: str) -> None:
        self.at, self.prefix, self.count = at, prefix, 0

    def __call__(self, layer: Any) -> Any:
        """Records the next layer; returns it."""
        self.at(f"{self.prefix}/layer_with_weights-{self.count}", layer)
        self.count += 1
        return layer
