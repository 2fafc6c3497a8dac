"""From pixels to the zoo's networks: resizing and normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import tensorflow as tf

from boxwright.model import Resizing

_VGG_MEAN = (123.68, 116.779, 103.939)
_IMAGENET_MEAN, _IMAGENET_STDDEV = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ZooResizing(Resizing):
    """Resizes by TensorFlow 1's bilinear kernel: pixel 0 stays in place, and nothing is smoothed before, or rounded."""

    antialias: ClassVar[bool] = False
    rounds: ClassVar[bool] = False

    def scale(self, image: Any, size: Any) -> Any:
        """See `Resizing`."""
        return tf.compat.v1.image.resize_bilinear(image[None], size)[0]


def normalised(images: Any, backbone: str) -> Any:
    """RGB in [0, 255] as the encoder was trained on it.

    The original normalises before it resizes and pads with zeros; since resizing is linear, and padding is done with
    `mean_colour`, the order does not matter.
    """
    if backbone.startswith("mobilenet"):
        return keras.layers.Rescaling(2 / 255, -1.0, name="normalised")(images)
    if backbone.startswith("resnet"):
        return keras.layers.Rescaling(1.0, [-mean for mean in _VGG_MEAN], name="normalised")(images)
    scale = [1 / (255 * stddev) for stddev in _IMAGENET_STDDEV]
    offset = [-mean / stddev for mean, stddev in zip(_IMAGENET_MEAN, _IMAGENET_STDDEV, strict=True)]
    return keras.layers.Rescaling(scale, offset, name="normalised")(images)


def mean_colour(backbone: str) -> tuple[float, float, float]:
    """The colour that is normalised to zeros."""
    if backbone.startswith("mobilenet"):
        return (127.5, 127.5, 127.5)
    if backbone.startswith("resnet"):
        return _VGG_MEAN
    red, green, blue = (255 * mean for mean in _IMAGENET_MEAN)
    return red, green, blue
