"""BiFPN (arxiv.org/abs/1911.09070) as the zoo's EfficientDet has it: five levels, at strides 8 to 128."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from boxwright.model.zoo.layers import FEATURES, LayerFactory

LEVELS = (3, 4, 5, 6, 7)
_STAGE = f"{FEATURES}/_bifpn_stage"
_EPSILON = 1e-4


class FastAttention(keras.layers.Layer):
    """A weighted mean of equal maps, by one non-negative weight each (section 3.3 of the paper)."""

    def build(self, input_shape: Any) -> None:
        """Makes the weights, `(inputs, 1)`."""
        self.combine_weights = self.add_weight(
            shape=(len(input_shape), 1), initializer="ones", name="bifpn_combine_weights"
        )

    def call(self, inputs: list[Any]) -> Any:
        """The mean of maps `(batch, height, width, channels)`."""
        weights = ops.relu(self.combine_weights)
        total = ops.sum(weights) + _EPSILON
        return ops.sum(ops.stack(inputs, axis=-1) * ops.squeeze(weights / total, -1), axis=-1)


class _Nodes:
    """The pyramid's nodes, numbered as the checkpoint numbers them."""

    def __init__(self, make: LayerFactory) -> None:
        self.make, self.count = make, 0
        self.filters = make.architecture.filters

    def resampled(self, node: int, index: int, x: Any, change: str | None) -> Any:
        """An input of a node: projected if its channels differ, then halved or doubled in size."""
        make, name = self.make, f"node{node}_input{index}"
        if x.shape[-1] != self.filters:
            key = f"{_STAGE}/node_input_blocks/{node}/{index}/1"
            x = make.at(f"{key}/0", make.conv(self.filters, 1, f"{name}_conv", bias=True))(x)
            x = make.at(f"{key}/1", make.batch_norm(f"{name}_batchnorm"))(x)
        if change == "down":
            return keras.layers.MaxPooling2D(3, 2, padding="same", name=f"{name}_down")(x)
        return keras.layers.UpSampling2D(2, name=f"{name}_up")(x) if change == "up" else x

    def coarser(self, x: Any) -> Any:
        """A node that only halves its one input."""
        node, self.count = self.count, self.count + 1
        return self.resampled(node, 0, x, "down")

    def combined(self, inputs: list[Any], neighbour: Any, change: str) -> Any:
        """A node that combines maps of its own level with the resampled map of a neighbour."""
        make, at = self.make, self.make.at
        node, self.count = self.count, self.count + 1
        maps = [self.resampled(node, index, x, None) for index, x in enumerate(inputs)]
        maps.append(self.resampled(node, len(maps), neighbour, change))
        x = at(f"{_STAGE}/node_combine_op/{node}", FastAttention(name=f"node{node}_combine"))(maps)
        x = make.activation(f"node{node}_activation")(x)
        key = f"{_STAGE}/node_post_combine_block/{node}"
        conv = make.separable(self.filters, f"node{node}_conv", bias=True, decay_pointwise=True)
        return at(f"{key}/2", make.batch_norm(f"node{node}_batchnorm"))(at(f"{key}/1", conv)(x))


def bidirectional_pyramid(ends: list[Any], make: LayerFactory) -> list[Any]:
    """Levels 3 to 7.

    Args:
        ends: the backbone's maps at strides 8, 16 and 32. The first iteration projects those at 16 and 32 twice, once
            for each pass.
        make: makes and records the layers.
    """
    nodes = _Nodes(make)
    start = dict(zip(LEVELS, ends, strict=False))
    start[6] = nodes.coarser(start[5])
    start[7] = nodes.coarser(start[6])
    for _ in range(make.architecture.bifpn_iterations):
        down = {7: start[7]}
        for level in (6, 5, 4, 3):
            down[level] = nodes.combined([start[level]], down[level + 1], "up")
        up = {3: down[3]}
        for level in (4, 5, 6):
            up[level] = nodes.combined([start[level], down[level]], up[level - 1], "down")
        up[7] = nodes.combined([start[7]], up[6], "down")
        start = up
    return [start[level] for level in LEVELS]
