from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tinyset
from PIL import Image

from components.dataset.images import check_image, encoded_image
from components.dataset.records import ImageRecord

SIZE = (40, 30)


def record(name: str, width: int = 40, height: int = 30) -> ImageRecord:
    return ImageRecord(1, name, width, height)


def bytes_of(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and has no pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b""
    for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunks


GOOD_JPEG = bytes_of(tinyset.picture(0), "JPEG")
GOOD_PNG = bytes_of(tinyset.picture(0), "PNG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no JPEG or PNG"),
        (b"<html>404</html>", "no JPEG or PNG"),
        (GOOD_JPEG[:-200], "broken or truncated"),
        (GOOD_PNG[:-200], "broken or truncated"),
        (GOOD_JPEG[:30], "no JPEG or PNG|broken or truncated"),
        (bytes_of(tinyset.picture(0), "GIF"), "no JPEG or PNG"),
        (bytes_of(tinyset.picture(0, 41, 30), "JPEG"), "is 41 x 30, but declared 40 x 30"),
        (bytes_of(tinyset.picture(0, 30, 40), "JPEG"), "is 30 x 40, but declared 40 x 30"),
        (png_header(9_000, 9_000), "9000 x 9000 pixels, more than 80,000,000"),
        (png_header(60_000, 60_000), "broken or truncated .DecompressionBombError"),
    ],
    ids=["empty", "html", "cut-jpeg", "cut-png", "head", "gif", "wide", "turned", "large", "bomb"],
)
def test_bad_files(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    found = check_image(tmp_path / "a.jpg", record("a.jpg"))
    assert found is not None and re.search(reason, found), found


@pytest.mark.parametrize(
    "data", [GOOD_JPEG, GOOD_PNG, bytes_of(tinyset.picture(0).convert("L"), "PNG")], ids=["jpeg", "png", "gray"]
)
def test_plain_files_keep_their_bytes(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(data)  # the format is that of the content, not of the name
    assert check_image(tmp_path / "a.jpg", record("a.jpg")) is None
    assert encoded_image(tmp_path / "a.jpg", record("a.jpg")) == (data, "png" if data[1:4] == b"PNG" else "jpeg")


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.asarray(tinyset.picture(0).convert("L")).astype(np.uint16) * 257)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (tinyset.picture(0).convert("CMYK"), "JPEG"),
        (tinyset.picture(0).convert("RGBA"), "PNG"),
        (tinyset.picture(0).convert("LA"), "PNG"),
        (tinyset.picture(0).quantize(64), "PNG"),
        (tinyset.picture(0).convert("1"), "PNG"),
        (sixteen_bits(), "PNG"),
    ],
    ids=["cmyk", "rgba", "gray-alpha", "palette", "1-bit", "16-bit"],
)
def test_other_pictures_become_rgb_once(tmp_path: Path, image: Image.Image, kind: str) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(bytes_of(image, kind))
    assert check_image(path, record(path.name)) is None
    data, encoded = encoded_image(path, record(path.name))
    stored = Image.open(io.BytesIO(data))
    assert (stored.mode, stored.size, stored.format, encoded) == ("RGB", SIZE, kind, kind.lower())
    expected = {"1": image, "I;16": tinyset.picture(0).convert("L"), "P": image}.get(image.mode, tinyset.picture(0))
    expected = expected.convert("L") if image.mode == "LA" else expected
    difference = np.abs(np.asarray(stored).astype(int) - np.asarray(expected.convert("RGB")).astype(int))
    assert difference.mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_drawn_on_the_shown_picture(tmp_path: Path, orientation: int) -> None:
    shown = Image.new("RGB", SIZE, "blue")
    shown.paste((255, 0, 0), (0, 0, 10, 10))  # red: top left, as a person sees it
    undo = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}.get(orientation, [])
    stored = shown
    for operation in undo:
        stored = stored.transpose(Image.Transpose(operation))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes_of(stored, "JPEG", exif=exif, quality=95))
    assert check_image(path, record("a.jpg")) is None
    data, _ = encoded_image(path, record("a.jpg"))
    image = Image.open(io.BytesIO(data))
    assert image.size == SIZE and image.getexif().get(0x0112, 1) == 1
    red, _, blue = image.getpixel((4, 4))
    assert red > 200 and blue < 60


def test_boxes_drawn_on_the_stored_picture_keep_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = bytes_of(tinyset.picture(0), "JPEG", exif=exif)
    (tmp_path / "a.jpg").write_bytes(data)
    assert check_image(tmp_path / "a.jpg", record("a.jpg")) is None
    assert encoded_image(tmp_path / "a.jpg", record("a.jpg")) == (data, "jpeg")
    assert check_image(tmp_path / "a.jpg", record("a.jpg", 41, 30)) is not None
