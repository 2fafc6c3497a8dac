"""From an image to the network's input by Pillow, as `boxwright.model.Resizing` does it in TensorFlow."""

from __future__ import annotations

import io
from collections.abc import Iterator
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
    width, height = side, side
    if fitting.keep_aspect:
        width, height = (max(1, round(edge / max(image.size) * side)) for edge in image.size)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = _rounded(np.array(fitting.fill, np.float32))
    for number, channel in enumerate(_scaled(image, (width, height), fitting.antialias)):
        square[:height, :width, number] = _rounded(channel)
    return square, np.array([height / side, width / side], np.float32)


def _scaled(image: Image.Image, size: tuple[int, int], antialias: bool) -> Iterator[NDArray[np.float32]]:
    """Each channel `(height, width)` of an image at a size `(width, height)`.

    They are not rounded: Pillow would do it in each direction.
    """
    from PIL import Image

    affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    if not antialias:
        # Behind the last pixel Pillow would see black.
        image = Image.fromarray(np.pad(np.asarray(image), ((0, 1), (0, 1), (0, 0)), "edge"))
    across, down = (image.width - 1) / size[0], (image.height - 1) / size[1]
    # Pillow counts from a pixel's corner and samples at its centre; here pixel 0 is to stay in place.
    kept = (across, 0.0, 0.5 - across / 2, 0.0, down, 0.5 - down / 2)
    for channel in image.split():
        values = channel.convert("F")
        yield np.asarray(values.resize(size, bilinear) if antialias else values.transform(size, affine, kept, bilinear))


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Whole numbers up to 255."""
    found = values + np.float32(TIE)
    np.minimum(found, 255, out=found)
    np.rint(found, out=found)
    return found
