"""Why an image file cannot be read, in one line."""

from __future__ import annotations

import re
from typing import BinaryIO

from boxwright.errors import shorten

# How files of the formats that are read begin.
IMAGE_STARTS = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8"}
# And those of others, which are only named: what their decoders make of foreign bytes is not tried.
_OTHER_STARTS = {
    "GIF": re.compile(rb"GIF8[79]a"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "BMP": re.compile(rb"BM"),
    "TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "HEIF or AVIF": re.compile(rb"....ftyp(?:heic|heix|hevc|mif1|msf1|avif|avis)", re.DOTALL),
    "JPEG XL": re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "),
    "JPEG 2000": re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
}
# As Pillow's reader of chunks says it.
_CHECKSUM = re.compile(r"broken PNG file \(bad header checksum in b'(\w{4})'\)")


class CostlyImageError(Exception):
    """An image that is made to take long; its words follow "the image has"."""


def unreadable_reason(file: BinaryIO, header: bytes, error: Exception) -> str:
    """Why Pillow could not open or decode what begins with `header`, in one line."""
    if isinstance(error, CostlyImageError):
        return str(error)
    if type(error).__name__ != "UnidentifiedImageError":
        return _checksum(error) or f"broken or truncated: {on_one_line(error)}"
    if not header:
        return "empty file"
    for kind, start in IMAGE_STARTS.items():
        if header.startswith(start):
            return _of_decoder(kind, file)
    other = next((kind for kind, start in _OTHER_STARTS.items() if start.match(header)), None)
    return f"{other}, not JPEG or PNG" if other else f"not JPEG or PNG; it begins with {shorten(header[:8])}"


def _of_decoder(kind: str, file: BinaryIO) -> str:
    """The message of a format's decoder; `Image.open` says only that no decoder took the file."""
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
