"""From an image of any size to a model's square input, and back: the same for training, evaluation and serving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import tensorflow as tf

from boxwright.images import TIE


@dataclass(frozen=True)
class Resizing:
    """Conversion of an image to the model's input. A family that needs another kernel overrides `scale`.

    An image covers a share of the square, from the top left corner: its *extent*, `(height, width)` in [0, 1]. A box in
    shares of the image, times the extent, is in shares of the square.

    Attributes:
        image_size: height and width of the input in pixels.
        keep_aspect: False stretches the image over the whole square; True scales its longer side to it and pads.
        fill: colour of what the image does not cover, RGB in [0, 255].
        antialias: whether a smaller image is smoothed first, and pixels are areas; else pixel 0 stays in place.
        rounds: whether the input has whole numbers, as exported networks take them: these see what was measured then.
    """

    antialias: ClassVar[bool] = True
    rounds: ClassVar[bool] = True

    image_size: int
    keep_aspect: bool = False
    fill: tuple[float, float, float] = (127.0, 127.0, 127.0)

    def extent(self, pixels: Any) -> Any:
        """The extent of an image of `pixels` `(height, width)`: whole pixels of the square, one at least."""
        if not self.keep_aspect:
            return tf.ones((2,))
        sides, size = tf.cast(pixels, tf.float32), float(self.image_size)
        return tf.maximum(tf.round(sides / tf.reduce_max(sides) * size), 1.0) / size

    def scale(self, image: Any, size: Any) -> Any:
        """The image at `size` `(height, width)` in pixels."""
        return tf.image.resize(image, size, antialias=True)

    def __call__(self, image: Any) -> tuple[Any, Any]:
        """Resizes an image.

        Args:
            image: float `(height, width, 3)` in [0, 255].

        Returns:
            The image `(image_size, image_size, 3)` and its extent `(2,)`.
        """
        extent = self.extent(tf.shape(image)[:2])
        if not self.keep_aspect:
            return self._scaled(image, (self.image_size, self.image_size)), extent
        size = tf.cast(tf.round(extent * float(self.image_size)), tf.int32)
        return self.place(self._scaled(image, size), tf.zeros((2,), tf.int32)), extent

    def _scaled(self, image: Any, size: Any) -> Any:
        scaled = self.scale(image, size)
        return tf.round(scaled + TIE) if self.rounds else scaled

    def place(self, image: Any, offset: Any) -> Any:
        """An image of at most the size of the square, at `offset` `(y, x)` in it, on the fill colour."""
        after = self.image_size - tf.shape(image)[:2] - offset
        padding = tf.concat([tf.stack([offset, after], axis=1), [[0, 0]]], axis=0)
        padded = tf.pad(image - tf.constant(self.fill), padding) + tf.constant(self.fill)
        return tf.ensure_shape(padded, (self.image_size, self.image_size, 3))
