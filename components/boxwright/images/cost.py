"""The work that an image file asks of a decoder, estimated from its markers before any decoder sees it.

A JPEG may go over all its pixels in thousands of scans, or have millions of segments, or of bytes that belong to none.
A PNG may hold ten million bytes of chunks of nothing, or texts and profiles that unpack to gigabytes. Both are
valid and small, and take minutes.
"""

from __future__ import annotations

import io
import mmap
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from boxwright.images.reasons import IMAGE_STARTS, CostlyImageError

# The content of a file, of which only what is looked at is read.
Content = bytes | mmap.mmap

# A segment that is not entropy-coded data: not a stuffed byte, a restart or a fill byte.
_MARK = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_SCAN, _END, _APP1 = 0xDA, 0xD9, 0xE1
# Marks without a length, and those that Pillow takes to be so.
_ALONE = (0x01, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE))
_PNG_START = IMAGE_STARTS["PNG"]
# What pixels are made of. Rotation is applied before the others are left out.
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# A progressive JPEG has some ten scans, each as much work as the pixels are many: so many are allowed of the largest
# image, and more of a smaller one.
_SCANS_OF_LARGEST, _MOST_SCANS = 20, 200
# Encoders write a chunk of pixels for 8 kB or more.
_MOST_CHUNKS = 20_000
# A JPEG has some twenty segments, and up to 255 more with a colour profile of 16.7 MB. Pillow goes through them, and
# through bytes between them, in Python, and puts the parts of a profile together again with each.
_MOST_SEGMENTS, _MOST_HEADER, _MOST_BETWEEN = 2_000, 20_000_000, 100_000
# A PNG has one. Each may unpack to a megabyte.
_MOST_PROFILES = 10
# An EXIF block is at most 64 kB, but its tags may all stand for the same bytes, and Pillow copies them for each.
_EXIF, _MOST_EXIF, _MOST_STARTS = b"Exif\0\0", 10_000_000, 10
# Bytes of a value, by its type in a TIFF.
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}


@contextmanager
def viewed(source: BinaryIO) -> Iterator[Content]:
    """The whole content of a file, without reading it where it is one on disk. Its position stays."""
    if isinstance(source, io.BytesIO):
        yield source.getvalue()
    elif isinstance(source, io.BufferedReader) and isinstance(source.raw, io.FileIO):
        try:
            mapped = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # empty, or not of a kind that has pages
            yield b""
            return
        with mapped:
            yield mapped
    else:
        position = source.tell()
        source.seek(0)
        data = source.read()
        source.seek(position)
        yield data


def check_header(source: BinaryIO) -> None:
    """Refuses a file whose marks before its pixels alone would take Pillow long: it reads them to open it.

    Raises:
        CostlyImageError: in words that follow "the image has".
    """
    start = source.read(len(_PNG_START))
    source.seek(0)
    if start == _PNG_START:
        with viewed(source) as data:
            _check_chunks(data)
    elif start.startswith(IMAGE_STARTS["JPEG"]):
        with viewed(source) as data:
            _check_segments(data)


def _check_chunks(data: Content) -> None:
    profiles = 0
    for number, (start, _) in enumerate(_chunks(data)):
        kind = data[start + 4 : start + 8]
        profiles += kind == b"iCCP"
        if number >= _MOST_CHUNKS:
            raise CostlyImageError(_many_chunks())
        if profiles > _MOST_PROFILES:
            raise CostlyImageError(f"more than {_MOST_PROFILES} colour profiles, where a PNG has one")
        if kind == b"IDAT":
            return


def _check_segments(data: Content) -> None:
    between = 0
    blocks: list[bytes] = []
    for number, (kind, start, skipped) in enumerate(_marks(data)):
        between += skipped
        if number >= _MOST_SEGMENTS:
            raise CostlyImageError(f"more than {_MOST_SEGMENTS:,} segments; save it again as JPEG")
        if between > _MOST_BETWEEN or start > _MOST_HEADER:
            raise CostlyImageError(
                f"{start:,} bytes before its pixels, too many to read in time; save it again as JPEG"
            )
        if kind == _APP1 and data[start + 4 : start + 10] == _EXIF:
            end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
            blocks.append(data[start + (10 if blocks else 4) : end])
        if kind == _SCAN:
            return check_exif(b"".join(blocks))
    # Pillow goes through all the rest, byte by byte.
    if len(data) > _MOST_BETWEEN:
        raise CostlyImageError(f"{len(data):,} bytes, and no pixels in them")


def check_exif(block: bytes) -> None:
    """Refuses an EXIF block that Pillow would make far more of than it is (CIPA DC-008, section 4.6).

    Raises:
        CostlyImageError: in words that follow "the image has".
    """
    start = 0
    while block.startswith(_EXIF, start):
        start += len(_EXIF)
    if start > _MOST_STARTS * len(_EXIF):
        raise CostlyImageError("an EXIF block that begins again and again")
    order = {b"II": "<", b"MM": ">"}.get(block[start : start + 2])
    if order is None or len(block) < start + 8:
        return
    if 43 in block[start + 2 : start + 4]:
        raise CostlyImageError("an EXIF block for files above 4 GB (BigTIFF)")
    (place,) = struct.unpack_from(f"{order}I", block, start + 4)
    entries = block[start + place + 2 : start + place + 2 + 12 * 65_535]
    (tags,) = struct.unpack(f"{order}H", block[start + place : start + place + 2].rjust(2, b"\0"))
    sizes = (
        _WIDTHS.get(kind, 0) * count
        for _, kind, count, _ in struct.iter_unpack(f"{order}HHII", entries[: 12 * min(tags, len(entries) // 12)])
    )
    if (total := sum(size for size in sizes if 4 < size <= len(block))) > _MOST_EXIF:
        raise CostlyImageError(f"an EXIF block of {len(block):,} bytes whose tags stand for {total:,}")


def too_complex(data: Content, kind: str | None, pixels: int, max_pixels: int) -> str | None:
    """Why an image would take a decoder too long, in words that follow "the image has"; None if it would not.

    Args:
        data: the whole file.
        kind: its format as Pillow calls it; `PNG`, or one of JPEG's.
        pixels: of the image.
        max_pixels: of the largest image that is decoded at all.
    """
    if kind == "PNG":
        if png_chunks(data, _MOST_CHUNKS) <= _MOST_CHUNKS:
            return None
        return _many_chunks()
    most = min(_MOST_SCANS, _SCANS_OF_LARGEST * max_pixels // max(1, pixels))
    if jpeg_scans(data, most) <= most:
        return None
    return f"more than {most} scans, too many to decode in time; save it as a baseline JPEG"


def _many_chunks() -> str:
    return f"more than {_MOST_CHUNKS:,} chunks, too many to decode in time; save it again as PNG"


def jpeg_scans(data: Content, most: int) -> int:
    """The number of scans of a JPEG, counted no further than one over `most` (ITU-T T.81, annex B).

    Where there are so many other segments that counting would take long, it is one over `most`, too.
    """
    scans = 0
    for number, (kind, _, _) in enumerate(_marks(data)):
        scans += kind == _SCAN
        if scans > most or (kind == _END and scans):
            break
        if number > _MOST_SEGMENTS + 10 * _MOST_SCANS:
            return most + 1
    return scans


def _marks(data: Content) -> Iterator[tuple[int, int, int]]:
    """The marks of a JPEG: kind, place, and the number of bytes before it that belong to no segment."""
    place = 2
    while found := _MARK.search(data, place):
        kind = data[found.end() - 1]
        yield kind, found.start(), found.start() - place
        place = found.end()
        if kind not in _ALONE and place + 2 <= len(data):
            # Its data is skipped: a preview within it has scans of its own.
            place += max(2, int.from_bytes(data[place : place + 2], "big"))


def png_chunks(data: Content, most: int) -> int:
    """The number of chunks of a PNG, counted no further than one over `most`."""
    return sum(1 for _, _ in zip(_chunks(data), range(most + 1), strict=False))


def without_extras(data: bytes) -> bytes:
    """A PNG without the chunks that no pixel needs: texts, profiles, further frames. `data` itself if it has none."""
    kept, whole = [_PNG_START], True
    for start, end in _chunks(data):
        if data[start + 4 : start + 8] in _PIXEL_CHUNKS:
            kept.append(data[start:end])
        else:
            whole = False
    return data if whole else b"".join(kept)


def _chunks(data: Content) -> Iterator[tuple[int, int]]:
    """Start and end of each chunk (www.w3.org/TR/png-3, section 5.3), as far as they are whole."""
    place = len(_PNG_START)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 12 + length
        if end > len(data):
            return
        yield place, end
        if data[place + 4 : place + 8] == b"IEND":
            return
        place = end
