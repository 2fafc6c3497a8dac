"""The zoo's prediction heads: weights shared by all levels of the pyramid, batch norms of each level's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from boxwright.model.zoo.architecture import CLASS_PRIOR_BIAS, HEAD_STDDEV
from boxwright.model.zoo.layers import PREDICTOR, LayerFactory

_BOXES, _CLASSES = "box_encodings", "class_predictions_with_background"


@dataclass(frozen=True)
class HeadOutputs:
    """Raw outputs of all levels, finest level first, row by row, anchors of a place beside each other.

    Attributes:
        boxes: `(batch, anchors, 4)`.
        classes: `(batch, anchors, slots)`.
        class_layer: the layer that `classes` come from.
    """

    boxes: Any
    classes: Any
    class_layer: Any


def predict(levels: list[Any], anchors: int, slots: int, make: LayerFactory) -> HeadOutputs:
    """Runs both heads over a pyramid.

    Args:
        levels: maps of equal depth.
        anchors: anchors at each place.
        slots: class scores of each anchor.
        make: makes and records the layers.
    """
    if make.architecture.shared_tower:
        box_maps = class_maps = _tower(levels, _BOXES, "PredictionTower", make)
    else:
        box_maps = _tower(levels, _BOXES, "BoxPredictionTower", make)
        class_maps = _tower(levels, _CLASSES, "ClassPredictionTower", make)
    box_layer = _last_layer(anchors * 4, "box_predictor", "zeros", make)
    class_layer = _last_layer(anchors * slots, "class_predictor", keras.initializers.Constant(CLASS_PRIOR_BIAS), make)
    make.at(f"{PREDICTOR}/_box_prediction_head/_box_encoder_layers/0", box_layer)
    make.at(f"{PREDICTOR}/_prediction_heads/{_CLASSES}/_class_predictor_layers/0", class_layer)
    return HeadOutputs(
        _joined(box_maps, box_layer, 4, "box_encodings"),
        _joined(class_maps, class_layer, slots, "class_logits"),
        class_layer,
    )


def _tower(levels: list[Any], head: str, tower: str, make: LayerFactory) -> list[Any]:
    maps, architecture = list(levels), make.architecture
    for step in range(architecture.head_layers):
        conv = make.conv3(architecture.filters, f"{tower}_conv{step}", bias=architecture.head_bias)
        make.at(f"{PREDICTOR}/_head_scope_conv_layers/{tower}/{step}", conv)
        for level, x in enumerate(maps):
            name = f"{tower}_level{level}_{step}"
            norm = make.batch_norm(f"{name}_batchnorm")
            make.at(f"{PREDICTOR}/_base_tower_layers_for_heads/{head}/{level}/{3 * step + 1}", norm)
            maps[level] = make.activation(name)(norm(conv(x)))
    return maps


def _last_layer(filters: int, name: str, bias: Any, make: LayerFactory) -> Any:
    if make.architecture.separable:
        return keras.layers.SeparableConv2D(filters, 3, padding="same", bias_initializer=bias, name=name)
    normal = keras.initializers.RandomNormal(stddev=HEAD_STDDEV)
    return make.conv(filters, 3, name, bias=True, kernel_initializer=normal, bias_initializer=bias)


def _joined(maps: list[Any], layer: Any, values: int, name: str) -> Any:
    flat = [keras.layers.Reshape((-1, values))(layer(x)) for x in maps]
    return keras.layers.Concatenate(axis=1, name=name, dtype="float32")(flat)
