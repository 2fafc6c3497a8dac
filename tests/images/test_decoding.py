from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tinyset
from PIL import Image

from boxwright.images.decoding import Encoded, encoded_image, open_image
from boxwright.images.reasons import unreadable_reason

SIZE = (40, 30)


def bytes_of(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


GOOD_JPEG = bytes_of(tinyset.picture(0), "JPEG")
GOOD_PNG = bytes_of(tinyset.picture(0), "PNG")


@pytest.mark.parametrize(
    "data", [GOOD_JPEG, GOOD_PNG, bytes_of(tinyset.picture(0).convert("L"), "PNG")], ids=["jpeg", "png", "gray"]
)
def test_plain_files_keep_their_bytes(data: bytes) -> None:
    kind = "png" if data[1:4] == b"PNG" else "jpeg"  # the format is that of the content, not of the name
    assert encoded_image(data, SIZE) == Encoded(data, kind, None)


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.asarray(tinyset.picture(0).convert("L")).astype(np.uint16) * 257)


@pytest.mark.parametrize(
    ("image", "kind", "reason"),
    [
        (tinyset.picture(0).convert("CMYK"), "JPEG", "cmyk"),
        (tinyset.picture(0).convert("RGBA"), "PNG", "alpha"),
        (tinyset.picture(0).convert("LA"), "PNG", "alpha"),
        (tinyset.picture(0).quantize(64), "PNG", "palette"),
        (tinyset.picture(0).convert("1"), "PNG", "other"),
        (sixteen_bits(), "PNG", "16-bit"),
    ],
    ids=["cmyk", "rgba", "gray-alpha", "palette", "1-bit", "16-bit"],
)
def test_other_pictures_become_rgb_once(image: Image.Image, kind: str, reason: str) -> None:
    found = encoded_image(bytes_of(image, kind), SIZE)
    stored = Image.open(io.BytesIO(found.data))
    assert (stored.mode, stored.size, stored.format, found.kind) == ("RGB", SIZE, kind, kind.lower())
    assert found.reason == reason
    assert encoded_image(found.data, SIZE) == Encoded(found.data, found.kind), "it is plain from now on"
    expected = {"1": image, "I;16": tinyset.picture(0).convert("L"), "P": image}.get(image.mode, tinyset.picture(0))
    expected = expected.convert("L") if image.mode == "LA" else expected
    difference = np.abs(np.asarray(stored).astype(int) - np.asarray(expected.convert("RGB")).astype(int))
    assert difference.mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_drawn_on_the_shown_picture(orientation: int) -> None:
    shown = Image.new("RGB", SIZE, "blue")
    shown.paste((255, 0, 0), (0, 0, 10, 10))  # red: top left, as a person sees it
    undo = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}.get(orientation, [])
    stored = shown
    for operation in undo:
        stored = stored.transpose(Image.Transpose(operation))
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = encoded_image(bytes_of(stored, "JPEG", exif=exif, quality=95), SIZE)
    assert found.reason == (None if orientation == 1 else "orientation")
    image = Image.open(io.BytesIO(found.data))
    assert image.size == SIZE and image.getexif().get(0x0112, 1) == 1
    red, _, blue = image.getpixel((4, 4))
    assert red > 200 and blue < 60


def test_boxes_drawn_on_the_stored_picture_keep_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = bytes_of(tinyset.picture(0), "JPEG", exif=exif)
    assert encoded_image(data, SIZE) == Encoded(data, "jpeg")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:29] + b"!!!!" + data[33:], "PNG with a broken checksum in chunk IHDR"),
        (lambda data: data[:8], "broken or truncated"),
        (lambda data: data[:20], "broken or truncated"),
        (lambda data: b"\xff\xd8\xff\xe0 nothing", "broken or truncated"),
        (lambda data: b"GIF99a", "not JPEG or PNG; it begins with"),
    ],
)
def test_the_reason_is_the_decoders(damage: Any, words: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20)).save(buffer, "PNG")
    file = io.BytesIO(damage(buffer.getvalue()))
    with pytest.raises(Exception) as caught:
        open_image(file).load()
    reason = unreadable_reason(file, file.getvalue()[:32], caught.value)
    assert words in reason and "\n" not in reason
