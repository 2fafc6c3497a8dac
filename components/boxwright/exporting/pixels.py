"""From an image to the network's input by Pillow, as `boxwright.model.Resizing` does it in TensorFlow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boxwright.exporting.facts import Fitting
from boxwright.images import open_image, orientation_of

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
    from PIL import Image

    side = fitting.image_size
    if not fitting.keep_aspect:
        return _pixels(_scaled(image, (side, side), fitting.antialias)), np.ones(2, np.float32)
    longer = max(image.size)
    width, height = (max(1, round(edge / longer * side)) for edge in image.size)
    square = Image.new("RGB", (side, side), _colour(fitting.fill))
    square.paste(_scaled(image, (width, height), fitting.antialias))
    return _pixels(square), np.array([height / side, width / side], np.float32)


def _scaled(image: Image.Image, size: tuple[int, int], antialias: bool) -> Image.Image:
    from PIL import Image

    if antialias:
        return image.resize(size, Image.Resampling.BILINEAR)
    across, down = image.width / size[0], image.height / size[1]
    # Pillow counts from a pixel's corner and samples at its centre; here pixel 0 is to stay in place.
    kept = (across, 0.0, 0.5 - across / 2, 0.0, down, 0.5 - down / 2)
    # Behind the last pixel it would see black.
    wider = Image.fromarray(np.pad(np.asarray(image), ((0, 1), (0, 1), (0, 0)), "edge"))
    return wider.transform(size, Image.Transform.AFFINE, kept, Image.Resampling.BILINEAR)


def _colour(fill: tuple[float, float, float]) -> tuple[int, int, int]:
    red, green, blue = (round(value) for value in fill)
    return red, green, blue


def _pixels(image: Image.Image) -> NDArray[Any]:
    return np.asarray(image)
