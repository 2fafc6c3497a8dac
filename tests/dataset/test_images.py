from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tinyset
from PIL import Image

from components.dataset.images import encoded_image
from components.dataset.records import ImageRecord

SIZE = (40, 30)


def record(name: str, width: int = 40, height: int = 30) -> ImageRecord:
    return ImageRecord(1, name, width, height)


def bytes_of(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


GOOD_JPEG = bytes_of(tinyset.picture(0), "JPEG")
GOOD_PNG = bytes_of(tinyset.picture(0), "PNG")


@pytest.mark.parametrize(
    "data", [GOOD_JPEG, GOOD_PNG, bytes_of(tinyset.picture(0).convert("L"), "PNG")], ids=["jpeg", "png", "gray"]
)
def test_plain_files_keep_their_bytes(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(data)  # the format is that of the content, not of the name
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
    assert encoded_image(tmp_path / "a.jpg", record("a.jpg")) == (data, "jpeg")
