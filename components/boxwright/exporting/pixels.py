"""From an image to the network's input by Pillow, as `boxwright.model.Resizing` does it in TensorFlow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boxwright.exporting.facts import Fitting
from boxwright.images import TIE, open_image, orientation_of

if TYPE_CHECKING:
    from PIL import Image


def read_image(encoded: bytes) -> Image.Image:
    """The RGB image of JPEG or PNG bytes, as a person sees it.

    Raises:
        OSError, ValueError, SyntaxError: Pillow cannot decode it.
    """
    from PIL import ImageOps

    image = open_image(io.BytesIO(encoded))
    return (ImageOps.exif_transpose(image) if orientation_of(image) != 1 else image).convert("RGB")


def fit(image: Image.Image, fitting: Fitting) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Resizes an image to the network's input.

    Args:
        image: RGB.
        fitting: how.

    Returns:
        Pixels uint8 `(size, size, 3)`, and the share of the square that the image covers, `(height, width)`.
    """
    side = fitting.image_size
    if not fitting.keep_aspect:
        return _rounded(_scaled(image, (side, side), fitting.antialias)), np.ones(2, np.float32)
    longer = max(image.size)
    width, height = (max(1, round(edge / longer * side)) for edge in image.size)
    square = np.empty((side, side, 3), np.float32)
    square[:] = fitting.fill
    square[:height, :width] = _scaled(image, (width, height), fitting.antialias)
    return _rounded(square), np.array([height / side, width / side], np.float32)


def _scaled(image: Image.Image, size: tuple[int, int], antialias: bool) -> NDArray[np.float32]:
    """An image `(height, width, 3)` at a size `(width, height)`, not rounded: Pillow would do it in each direction."""
    from PIL import Image

    if not antialias:
        # Behind the last pixel Pillow would see black.
        image = Image.fromarray(np.pad(np.asarray(image), ((0, 1), (0, 1), (0, 0)), "edge"))
    channels = [channel.convert("F") for channel in image.split()]
    if antialias:
        return np.dstack([np.asarray(channel.resize(size, Image.Resampling.BILINEAR)) for channel in channels])
    across, down = (image.width - 1) / size[0], (image.height - 1) / size[1]
    # Pillow counts from a pixel's corner and samples at its centre; here pixel 0 is to stay in place.
    kept = (across, 0.0, 0.5 - across / 2, 0.0, down, 0.5 - down / 2)
    affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return np.dstack([np.asarray(channel.transform(size, affine, kept, bilinear)) for channel in channels])


def _rounded(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = np.rint(np.minimum(pixels + TIE, 255)).astype(np.uint8)
    return rounded
