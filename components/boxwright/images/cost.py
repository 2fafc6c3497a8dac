"""How much work an image file asks of a decoder, read from its marks before any decoder sees it.

A JPEG may go over all its pixels in thousands of scans, and a PNG may hold ten million bytes of chunks of nothing, or
text that unpacks to gigabytes. Both are valid, small, and take minutes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from boxwright.images.reasons import IMAGE_STARTS

# A segment that is not entropy-coded data: not a stuffed byte, a restart or a fill byte.
_MARK = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_SCAN, _END = 0xDA, 0xD9
_ALONE = (0x01, *range(0xD0, 0xD9))  # marks without a length
_PNG_START = IMAGE_STARTS["PNG"]
# What pixels are made of. Rotation is applied before the others are left out.
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# A progressive JPEG has some ten scans, each as much work as the pixels are many: so many are allowed of the largest
# image, and more of a smaller one.
_SCANS_OF_LARGEST, _MOST_SCANS = 20, 200
# Encoders write a chunk of pixels for 8 kB or more.
_MOST_CHUNKS = 20_000


def too_complex(data: bytes, kind: str | None, pixels: int, max_pixels: int) -> str | None:
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
        return f"more than {_MOST_CHUNKS:,} chunks, too many to decode in time; save it again as PNG"
    most = min(_MOST_SCANS, _SCANS_OF_LARGEST * max_pixels // max(1, pixels))
    if jpeg_scans(data, most) <= most:
        return None
    return f"more than {most} scans, too many to decode in time; save it as a baseline JPEG"


def jpeg_scans(data: bytes, most: int) -> int:
    """The number of scans of a JPEG, counted no further than one over `most` (ITU-T T.81, annex B)."""
    scans, place = 0, 2
    while scans <= most and (found := _MARK.search(data, place)):
        kind, place = data[found.start() + 1], found.end()
        if kind == _END:
            break
        scans += kind == _SCAN
        if kind not in _ALONE and place + 2 <= len(data):
            # Its data is skipped: a preview within it has scans of its own.
            place += max(2, int.from_bytes(data[place : place + 2], "big"))
    return scans


def png_chunks(data: bytes, most: int) -> int:
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


def _chunks(data: bytes) -> Iterator[tuple[int, int]]:
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
