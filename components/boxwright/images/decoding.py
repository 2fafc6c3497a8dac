"""Image files as they are stored in examples: opened, turned, and brought to plain RGB where a decoder needs it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from boxwright.images.cost import check_exif, check_header

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION = 0x0112  # EXIF tag
_QUARTER_TURNS = (5, 6, 7, 8)
_PNG_DEPTH = 24  # offset of the bit depth in a PNG file
_REASONS = {"CMYK": "cmyk", "RGBA": "alpha", "LA": "alpha", "PA": "alpha", "P": "palette"}


@dataclass(frozen=True)
class Encoded:
    """An image as it is stored.

    Attributes:
        data: the file's bytes.
        kind: their format, "jpeg" or "png".
        reason: why they are not those of the dataset's file: "orientation", "16-bit", "cmyk", "alpha", "palette" or
            "other"; None where they are.
    """

    data: bytes
    kind: str
    reason: str | None = None


def encoded_image(data: bytes, declared: tuple[int, int]) -> Encoded:
    """The bytes to store for a checked image, in the orientation that its boxes were drawn on.

    The file's own bytes are kept where they are 8-bit RGB or gray already. Rotation flags are applied, and CMYK,
    palettes, alpha and 16 bits are converted, once, here.

    Args:
        data: the file's bytes.
        declared: width and height in pixels that the annotations declare.
    """
    with open_image(io.BytesIO(data)) as image:
        return plain_image(data, image, _is_turned(image, declared))


def plain_image(data: bytes, image: Image.Image, turned: bool) -> Encoded:
    """Image bytes that TensorFlow's decoders read alike: `data` itself if it is 8-bit RGB or gray, else converted.

    Args:
        data: an encoded image.
        image: the same, opened; its pixels are decoded only where they have to be converted.
        turned: whether its rotation flag is to be applied.
    """
    from PIL import ImageOps

    kind = "png" if image.format == "PNG" else "jpeg"
    reason = "orientation" if turned else _reason(image, data)
    if reason is None:
        return Encoded(data, kind)
    picture = to_rgb(ImageOps.exif_transpose(image) if turned else image)
    buffer = io.BytesIO()
    picture.info.clear()  # no second rotation, profile or transparency
    if kind == "png":
        picture.save(buffer, "PNG")
    else:
        picture.save(buffer, "JPEG", quality=95, subsampling=0)
    return Encoded(buffer.getvalue(), kind, reason)


def _reason(image: Image.Image, data: bytes) -> str | None:
    """Why a decoder would not see 8-bit RGB or gray, if so."""
    if image.format == "PNG" and data[_PNG_DEPTH] == 16:
        return "16-bit"
    return None if image.mode in ("RGB", "L") else _REASONS.get(image.mode, "other")


def open_image(source: BinaryIO) -> Image.Image:
    """Reads the header of a JPEG or PNG; no other decoder of Pillow gets to see untrusted bytes.

    Raises:
        CostlyImageError: its header is made to take long.
        Exception: of many types, it is broken.
    """
    from PIL import Image

    check_header(source)
    return Image.open(source, formats=("JPEG", "PNG"))


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or it is not valid.

    Raises:
        CostlyImageError: to read it is made to take long.
    """
    for block in _exif_blocks(image):
        check_exif(block)
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow raises many types on broken blocks, and the pixels may be whole
        return 1
    return value if value in range(1, 9) else 1


def _exif_blocks(image: Image.Image) -> Iterator[bytes]:
    """The places where Pillow may find the flag: a block of EXIF, or the text of a PNG, as older tools write it."""
    if isinstance(block := image.info.get("exif"), bytes):
        yield block
    if isinstance(text := image.info.get("Raw profile type exif"), str):
        try:
            yield bytes.fromhex("".join(text.split("\n")[3:]))
        except ValueError:  # nor can Pillow
            return


def is_quarter_turned(orientation: int) -> bool:
    """Whether the picture is shown with width and height exchanged."""
    return orientation in _QUARTER_TURNS


def _is_turned(image: Image.Image, declared: tuple[int, int]) -> bool:
    """Whether the boxes were drawn on the picture as it is shown, not as it is stored."""
    orientation = orientation_of(image)
    if is_quarter_turned(orientation):
        # Tools that ignore the flag declare the stored size; their boxes fit the stored picture.
        return (image.height, image.width) == declared
    return orientation != 1


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode in 8-bit RGB, as the decoders of files read it: without alpha, of 16 bits the high byte."""
    if image.mode in ("RGB", "CMYK", "YCbCr", "LAB", "HSV", "L"):
        return image.convert("RGB")
    if image.mode.startswith(("I", "F")):
        return _from_16_bits(image)
    return image.convert("RGBA").convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    import numpy as np
    from PIL import Image

    # The high byte, as PNG decoders do; Pillow would cut everything above 255 to white.
    high = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
    return Image.fromarray(high).convert("RGB")
