"""Why an image file cannot be read, in one line."""

from __future__ import annotations

import re
from typing import BinaryIO

from boxwright.errors import shorten

# How files of the formats that are read begin.
IMAGE_STARTS = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8"}
# As Pillow's reader of chunks says it.
_CHECKSUM = re.compile(r"broken PNG file \(bad header checksum in b'(\w{4})'\)")


def unreadable_reason(file: BinaryIO, header: bytes, error: Exception) -> str:
    """Why Pillow could not open or decode what begins with `header`, in one line."""
    if type(error).__name__ != "UnidentifiedImageError":
        return _checksum(error) or f"broken or truncated: {on_one_line(error)}"
    if not header:
        return "empty file"
    for kind, start in IMAGE_STARTS.items():
        if header.startswith(start):
            return _of_decoder(kind, file)
    from PIL import Image

    try:
        file.seek(0)
        with Image.open(file, formats=("GIF", "WEBP", "BMP", "TIFF")) as image:
            return f"{image.format}, not JPEG or PNG"
    except Exception:  # as above: untrusted bytes
        return f"not JPEG or PNG; it begins with {shorten(header[:8])}"


def _of_decoder(kind: str, file: BinaryIO) -> str:
    """What the decoder of a format says; `Image.open` says of a file that no decoder took it, and not why."""
    from PIL import JpegImagePlugin, PngImagePlugin

    plugin = {"JPEG": JpegImagePlugin.JpegImageFile, "PNG": PngImagePlugin.PngImageFile}[kind]
    try:
        file.seek(0)
        plugin(file)
    except Exception as error:  # as above: untrusted bytes
        return _checksum(error) or f"broken or truncated {kind}: {on_one_line(error)}"
    return f"{kind} that cannot be read"


def _checksum(error: Exception) -> str | None:
    found = _CHECKSUM.search(str(error))
    return f"broken or truncated: PNG with a broken checksum in chunk {found[1]}" if found else None


def on_one_line(error: Exception) -> str:
    """The error's type and the beginning of its words, in printable ASCII."""
    return f"{type(error).__name__}: {shorten(str(error), 200)[1:-1]}"
