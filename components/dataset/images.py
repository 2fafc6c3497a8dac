"""Image files, untrusted: checked once after the download, and brought to plain RGB where a decoder needs it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from components.dataset.records import ImageRecord

if TYPE_CHECKING:
    from PIL import Image

PIXEL_LIMIT = 80_000_000  # below Pillow's own limit for what may be an image bomb; 240 MB decoded
_ORIENTATION = 0x0112  # EXIF tag
_QUARTER_TURNS = (5, 6, 7, 8)


def check_image(path: Path, record: ImageRecord) -> str | None:
    """Decodes a whole image file and compares it with what the annotations declare.

    Returns:
        What is wrong and what to do, or None.
    """
    try:
        with _open(path) as image:
            if image.width * image.height > PIXEL_LIMIT:
                return f"has {image.width} x {image.height} pixels, more than {PIXEL_LIMIT:,}; scale or tile it"
            if (record.width, record.height) not in _sizes(image):
                return (
                    f"is {image.width} x {image.height}, but declared {record.width} x {record.height}; "
                    "correct width and height in the annotations, and the boxes with them"
                )
            image.load()
    except Exception as error:  # Pillow's decoders raise many types on broken bytes, and this is where they come in
        kind = "no JPEG or PNG" if type(error).__name__ == "UnidentifiedImageError" else "broken or truncated"
        return f"is {kind} ({type(error).__name__}); upload it again or take it out"
    return None


def encoded_image(path: Path, record: ImageRecord) -> tuple[bytes, str]:
    """The bytes to store for a checked image, in the orientation that its boxes were drawn on.

    The file's own bytes are kept where they are 8-bit RGB or gray already. Rotation flags are applied, and CMYK,
    palettes, alpha and 16 bits are converted, once, here.

    Returns:
        The bytes and their format, "jpeg" or "png".
    """
    from PIL import ImageOps

    data = path.read_bytes()
    with _open(io.BytesIO(data)) as image:
        kind = "png" if image.format == "PNG" else "jpeg"
        turned = _is_turned(image, record)
        if image.mode in ("RGB", "L") and not turned:
            return data, kind
        picture = _to_rgb(ImageOps.exif_transpose(image) if turned else image)
    buffer = io.BytesIO()
    picture.info.clear()  # no second rotation, profile or transparency
    if kind == "png":
        picture.save(buffer, "PNG")
    else:
        picture.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue(), kind


def _open(source: Path | io.BytesIO) -> Image.Image:
    from PIL import Image

    return Image.open(source, formats=("JPEG", "PNG"))


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _sizes(image: Image.Image) -> list[tuple[int, int]]:
    """The sizes (width, height) that a labelling tool may have seen: as stored, and as shown."""
    turned = _orientation(image) in _QUARTER_TURNS
    return [image.size, *([(image.height, image.width)] if turned else [])]


def _is_turned(image: Image.Image, record: ImageRecord) -> bool:
    """Whether the boxes were drawn on the picture as it is shown, not as it is stored."""
    orientation = _orientation(image)
    if orientation in _QUARTER_TURNS:
        # Tools that ignore the flag declare the stored size; their boxes fit the stored picture.
        return (image.height, image.width) == (record.width, record.height)
    return orientation != 1


def _to_rgb(image: Image.Image) -> Image.Image:
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
