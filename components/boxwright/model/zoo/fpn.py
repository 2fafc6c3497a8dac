"""The zoo's feature pyramid (arxiv.org/abs/1612.03144 with quirks): five levels, at strides 8 to 128."""

from __future__ import annotations

from typing import Any

import keras

from boxwright.model.zoo.layers import FEATURES, LayerFactory

_TOP_DOWN = f"{FEATURES}/_fpn_features_generator"


def feature_pyramid(ends: list[Any], make: LayerFactory) -> list[Any]:
    """Levels 3 to 7.

    What is upsampled into a lower level is the smoothed map; the top of the backbone is projected and not smoothed;
    levels 6 and 7 are strided convolutions of it.

    Args:
        ends: the backbone's maps at strides 8, 16 and 32.
        make: makes and records the layers.
    """
    at, filters = make.at, make.architecture.filters
    *lower, top = ends
    x = at(f"{_TOP_DOWN}/top_layers/0", make.conv(filters, 1, "projection_3", bias=True))(top)
    levels = [x]
    for step, end in enumerate(reversed(lower)):
        name = len(lower) - step
        lateral = make.conv(filters, 1, f"projection_{name}", bias=True)
        upsampled = keras.layers.UpSampling2D(2, name=f"upsampling_{name}")(x)
        x = keras.layers.Add(name=f"top_down_{name}")(
            [upsampled, at(f"{_TOP_DOWN}/residual_blocks/{step}/0", lateral)(end)]
        )
        x = _conv_and_norm(x, f"{_TOP_DOWN}/conv_layers/{step}", f"smoothing_{name}", 1, make)
        levels.insert(0, x)
    x = levels[-1]
    for step in range(2):
        x = _conv_and_norm(x, f"{FEATURES}/_coarse_feature_layers/{step}", f"coarse_{6 + step}", 2, make)
        levels.append(x)
    return levels


def _conv_and_norm(x: Any, key: str, name: str, strides: int, make: LayerFactory) -> Any:
    x = make.at(f"{key}/0", make.conv3(make.architecture.filters, f"{name}_conv", strides))(x)
    return make.activation(name)(make.at(f"{key}/1", make.batch_norm(f"{name}_batchnorm"))(x))
