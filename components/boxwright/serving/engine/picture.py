"""Untrusted image bytes on their way to the model: looked at, turned the way a person sees them, made plain."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from boxwright.errors import DataError
from boxwright.images import (
    CostlyImageError,
    is_quarter_turned,
    open_image,
    orientation_of,
    plain_image,
    too_complex,
    unreadable_reason,
    without_extras,
)

if TYPE_CHECKING:
    from PIL import Image

_HEADER = 32


class RefusedImageError(DataError):
    """An image that cannot be looked at.

    Attributes:
        code: `image_empty`, `image_unreadable`, `image_too_large` or `image_too_complex`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Picture:
    """An image as the model takes it.

    Attributes:
        encoded: 8-bit RGB or gray JPEG or PNG, rotation flag applied.
        width: in pixels, as a person sees it.
        height: in pixels, as a person sees it.
    """

    encoded: bytes = field(repr=False)
    width: int
    height: int


def read_picture(data: bytes, max_pixels: int) -> Picture:
    """Checks a JPEG or PNG, and converts what TensorFlow's decoder would read otherwise than the evaluation.

    Args:
        data: the bytes as they came.
        max_pixels: largest image; a larger one is not decoded.

    Raises:
        RefusedImageError: with the reason in one line.
    """
    from PIL import Image

    if not data:
        raise RefusedImageError("image_empty", "the image has no bytes; send the content of a JPEG or PNG file")
    source = io.BytesIO(data)
    try:
        with open_image(source) as image:
            if image.width * image.height > max_pixels:
                raise _too_large(f"{image.width} x {image.height} pixels", max_pixels)
            if reason := too_complex(data, image.format, image.width * image.height, max_pixels):
                raise RefusedImageError("image_too_complex", f"the image has {reason}")
            orientation = orientation_of(image)
            width, height = image.size
            encoded = plain_image(data, image, orientation != 1).data
            if encoded is data:
                _check_pixels(data, image)
                # TensorFlow's decoder unpacks texts and profiles that nobody looks at.
                encoded = without_extras(data) if image.format == "PNG" else data
    except RefusedImageError:
        raise
    except CostlyImageError as error:
        raise RefusedImageError("image_too_complex", f"the image has {error}") from None
    except Image.DecompressionBombError:
        raise _too_large(f"over {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels", max_pixels) from None
    except Exception as error:  # Pillow's decoders raise many types on broken bytes, and this is where they come in
        reason = unreadable_reason(source, data[:_HEADER], error)
        raise RefusedImageError("image_unreadable", f"the image cannot be read: {reason}") from None
    if is_quarter_turned(orientation):
        width, height = height, width
    return Picture(encoded, width, height)


def _check_pixels(data: bytes, image: Image.Image) -> None:
    """Decodes what goes to the model as it came: TensorFlow loses memory with every JPEG that it gives up on."""
    if image.format == "PNG":
        # Pillow's decoder passes over check sums, TensorFlow's does not.
        open_image(io.BytesIO(data)).verify()
    else:
        image.draft("L", (1, 1))  # reads every bit, and makes few pixels of them
    image.load()


def _too_large(size: str, max_pixels: int) -> RefusedImageError:
    return RefusedImageError(
        "image_too_large", f"the image has {size}, more than the limit of {max_pixels}; send a smaller one"
    )
