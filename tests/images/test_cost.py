"""Images that are made to take long before their first pixel: refused by their marks, before a decoder sees them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import pytest
from PIL import Image, UnidentifiedImageError

from boxwright.images.cost import check_exif, jpeg_scans, viewed
from boxwright.images.decoding import open_image, orientation_of
from boxwright.images.reasons import CostlyImageError, unreadable_reason


def encoded(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((60, 40), 50).convert("RGB").save(file, kind, **options)
    return file.getvalue()


JPEG, PNG = encoded("JPEG"), encoded("PNG")


def segment(mark: int, data: bytes) -> bytes:
    return bytes([0xFF, mark]) + struct.pack(">H", len(data) + 2) + data


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def jpeg_with(before: bytes) -> bytes:
    return JPEG[:2] + before + JPEG[2:]


def png_with(*chunks: bytes) -> bytes:
    return PNG[:33] + b"".join(chunks) + PNG[33:]


def exif(tags: int, size: int, length: int, order: str = "<") -> bytes:
    """A block of so many bytes, whose tags all stand for the same bytes of it."""
    entries = b"".join(struct.pack(f"{order}HHII", tag, 2, size, 8) for tag in range(tags))
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, tags)
    return (start + entries + b"\0" * 4).ljust(length, b"\0")


def in_parts(block: bytes) -> bytes:
    """A JPEG with a block of EXIF that is as long as one likes."""
    parts = [block[start : start + 65_000] for start in range(0, len(block), 65_000)]
    return jpeg_with(b"".join(segment(0xE1, b"Exif\0\0" + part) for part in parts))


PROFILE = chunk(b"iCCP", b"k\0\0" + zlib.compress(b"\0" * 1000))
COSTLY = {
    "segments": (jpeg_with(segment(0xEF, b"") * 2001), "more than 2,000 segments"),
    "remarks": (jpeg_with(segment(0xFE, b"") * 2001), "more than 2,000 segments"),
    "fill bytes": (jpeg_with(b"\xff" * 100_001), "bytes before its pixels"),
    "bytes between": (jpeg_with(b"\0" * 100_001), "bytes before its pixels"),
    "marks that Pillow takes to have no data": (jpeg_with(segment(0xF0, b"x" * 60_000) * 2), "bytes before its pixels"),
    "large blocks": (jpeg_with(segment(0xE1, b"Exif\0\0" + b"x" * 65_000) * 310), "bytes before its pixels"),
    "a second end": (JPEG[:2] + b"\xff\xd9" * 60_000, "segments|no pixels"),
    "tags of the same bytes": (in_parts(exif(5000, 60_000, 65_000)), "whose tags stand for 300,000,000"),
    "the same in more bytes": (in_parts(exif(300, 900_000, 1_000_000, ">")), "whose tags stand for 270,000,000"),
    "a block that begins again": (in_parts(b"Exif\0\0" * 10_000), "begins again and again"),
    "a block of another kind": (in_parts(b"II+\0" + b"\0" * 20), "BigTIFF"),
    "no pixels": (JPEG[:2] + b"\xff" * 200_000, "no pixels"),
    "chunks": (png_with(chunk(b"prVt") * 20_001), "more than 20,000 chunks"),
    "profiles": (png_with(PROFILE * 11), "more than 10 colour profiles"),
}


def opened(data: bytes, path: Path | None) -> BinaryIO:
    if path is None:
        return io.BytesIO(data)
    path.write_bytes(data)
    return path.open("rb")


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("what", COSTLY)
def test_a_header_that_is_made_to_take_long_is_refused(what: str, on_disk: bool, tmp_path: Path) -> None:
    data, reason = COSTLY[what]
    with opened(data, tmp_path / "a" if on_disk else None) as file, pytest.raises(CostlyImageError, match=reason):
        open_image(file)


@pytest.mark.parametrize("name", [b"eXIf", b"zTXt"])
def test_a_flag_of_a_png_is_not_looked_for_in_a_block_that_takes_long(name: bytes) -> None:
    block = exif(300, 400_000, 450_000)
    text = b"\nexif\n0\n" + block.hex().encode()
    told = block if name == b"eXIf" else b"Raw profile type exif\0\0" + zlib.compress(text)
    with open_image(io.BytesIO(png_with(chunk(name, told)))) as image:
        image.load()
        with pytest.raises(CostlyImageError, match="whose tags stand for 120,000,000"):
            orientation_of(image)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_flag_is_found_in_a_block_of_any_order(order: str) -> None:
    head = {"<": b"II*\0", ">": b"MM\0*"}[order]
    block = head + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    text = b"\nexif\n0\n" + block.hex().encode()
    old = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    for data in (in_parts(block), png_with(chunk(b"eXIf", block)), png_with(old)):
        with open_image(io.BytesIO(data)) as image:
            assert orientation_of(image) == 6
    for broken in (block[:7], block[:9], block[:12], head + b"\xff" * 4, head + b"\xff" * 40):
        check_exif(broken)
        with open_image(io.BytesIO(png_with(chunk(b"eXIf", broken)))) as image:
            assert orientation_of(image) == 1


def test_what_cameras_and_editors_write_is_opened() -> None:
    exif = segment(0xE1, b"Exif\0\0" + b"II*\0" + b"\0" * 60_000)
    parts = [segment(0xE2, b"ICC_PROFILE\0" + bytes([number, 250]) + b"x" * 65_000) for number in range(1, 251)]
    for data in (
        JPEG,
        jpeg_with(exif + b"".join(parts) + b"\xff" * 1000),
        PNG,
        png_with(PROFILE, *[chunk(b"tEXt", b"a\0b")] * 1000),
        encoded("JPEG", progressive=True),
    ):
        with open_image(io.BytesIO(data)) as image:
            assert image.size == (60, 40)
            image.load()


def test_a_broken_file_is_broken_and_not_costly() -> None:
    for data in (b"", b"\xff\xd8", JPEG[:30], PNG[:40], b"\x89PNG\r\n\x1a\n"):
        with pytest.raises((UnidentifiedImageError, OSError)):
            open_image(io.BytesIO(data)).load()


def test_scans_are_counted_no_longer_than_it_takes() -> None:
    first = JPEG.index(b"\xff\xda")
    assert jpeg_scans(JPEG[:first] + segment(0xEF, b"") * 10_000 + JPEG[first:], 100) == 101


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"GIF89a", "GIF"), (b"RIFF\1\2\3\4WEBP", "WEBP"), (b"MM\0*", "TIFF"), (b"\0\0\0\x1cftypavif", "HEIF or AVIF")],
)
def test_another_format_is_named_by_its_first_bytes_and_not_decoded(start: bytes, kind: str) -> None:
    # A remark in a GIF takes Pillow the square of its length.
    file = io.BytesIO(start + b"\x0a\0\x0a\0\0\0\0\x21\xfe" + b"\x01x" * 1000)
    file.seek = None  # type: ignore[assignment, method-assign]
    assert unreadable_reason(file, start, UnidentifiedImageError()) == f"{kind}, not JPEG or PNG"


def test_a_view_of_a_file_is_its_content_and_moves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "empty").write_bytes(b"")
    with (tmp_path / "a").open("rb") as file, viewed(file) as seen:
        assert (seen[0:], file.tell()) == (b"content", 0)
    with (tmp_path / "empty").open("rb") as file, viewed(file) as seen:
        assert len(seen) == 0
