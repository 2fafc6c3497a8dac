"""Why an image file cannot be read, in one line."""

from __future__ import annotations

from typing import BinaryIO

from boxwright.errors import shorten


def unreadable_reason(file: BinaryIO, header: bytes, error: Exception) -> str:
    """Why Pillow could not open or decode what begins with `header`, in one line."""
    if type(error).__name__ != "UnidentifiedImageError":
        return f"broken or truncated: {on_one_line(error)}"
    if not header:
        return "empty file"
    from PIL import Image

    try:
        file.seek(0)
        with Image.open(file, formats=("GIF", "WEBP", "BMP", "TIFF")) as image:
            return f"{image.format}, not JPEG or PNG"
    except Exception:  # as above: untrusted bytes
        return f"not JPEG or PNG; it begins with {shorten(header[:8])}"


def on_one_line(error: Exception) -> str:
    """The error's type and the beginning of its words, in printable ASCII."""
    return f"{type(error).__name__}: {shorten(str(error), 200)[1:-1]}"
