"""The picture that boxes are drawn on: as stored, or as its EXIF flag has it shown. What is written is as shown.

Validation and training take the declared size as the proof of which it is; so the upright one is declared, and boxes of
tools that do not look at the flag are turned with the picture.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO

from boxwright.dataset.importing.source import Account, BBox, BrokenError, Frame, SourceImage
from boxwright.images import is_quarter_turned, open_image, orientation_of, unreadable_reason

_TAIL = 1 << 16
_DIGITS = 6  # of a pixel: shares of an image are not exact, and 40.000000000000004 is 40
_EDGE = 1.0


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's file says without its pixels: width and height as stored, EXIF orientation, and format."""

    stored: tuple[int, int]
    orientation: int
    kind: str

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as shown."""
        width, height = self.stored
        return (height, width) if is_quarter_turned(self.orientation) else (width, height)


def read_header(image: SourceImage) -> Header:
    """The header of an image's file.

    Raises:
        BrokenError: it is no picture that Pillow reads, or not JPEG or PNG: then `OtherPictureError`.
    """
    if image.content is not None:
        return _header(io.BytesIO(image.content()))
    assert image.path is not None
    try:
        with image.path.open("rb") as file:
            return _header(file)
    except OSError as error:
        raise BrokenError(f"cannot be read: {error.strerror or error}") from None


class OtherPictureError(BrokenError):
    """A picture in a format that Boxwright does not read."""


def _header(file: BinaryIO) -> Header:
    start = file.read(32)
    file.seek(0)
    try:
        with open_image(file) as image:
            kind = str(image.format)
            turned = "exif" in image.info or (kind == "PNG" and _has_late_exif(file))
            return Header(image.size, orientation_of(image) if turned else 1, kind)
    except Exception as error:  # Pillow raises many types on broken bytes, and this is where they come in
        reason = unreadable_reason(file, start, error)
    raise OtherPictureError(reason) if reason.endswith(", not JPEG or PNG") else BrokenError(reason)


def _has_late_exif(file: BinaryIO) -> bool:
    """Whether a PNG may have its flag behind its pixels, which Pillow finds only by decoding them all."""
    position = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(max(0, end - _TAIL))
    tail = file.read()
    file.seek(position)
    return b"eXIf" in tail or b"Raw profile type" in tail


def settle(image: SourceImage, header: Header, told: Frame | None, usual: Frame, account: Account) -> tuple[int, int]:
    """Puts the boxes of an image in order, in pixels of the picture as shown; gives the size to declare.

    Args:
        image: changed in place.
        header: of its file.
        told: what the user says that boxes are drawn on.
        usual: what the format's tools draw them on, where the written size does not tell.
        account: receives what was changed or does not fit.
    """
    if image.normalised:
        image.size = None
    frame = _frame(image, header, told, usual, account)
    written = _written_size(image, header, frame, account)
    drawn_on = header.stored if frame == "raw" else header.upright
    for found in image.objects:
        box = found.bbox
        if image.normalised:
            width, height = drawn_on
            box = box[0] * width, box[1] * height, box[2] * width, box[3] * height
        if box[0] > box[2] or box[1] > box[3]:
            account.changed("corners in the wrong order, put right", image.place_of(found))
            box = _in_order(box)
        if frame == "raw" and written is None and header.orientation != 1:
            box = _in_order(_turned(box, header))
        left, top, right, bottom = (round(value, _DIGITS) for value in box)
        found.bbox = left, top, right, bottom
    size = written or header.upright
    _note_odd_boxes(image, size, account)
    image.normalised = False
    return size


def _in_order(box: BBox) -> BBox:
    return min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])


def _frame(image: SourceImage, header: Header, told: Frame | None, usual: Frame, account: Account) -> Frame:
    if header.orientation == 1 or told is not None:
        return told or usual
    if not image.frame_unknown and header.stored != header.upright and image.size in (header.stored, header.upright):
        return "raw" if image.size == header.stored else "upright"
    if image.objects:
        drawn = "shown" if usual == "upright" else "stored, and are turned with it"
        account.noted(
            f"EXIF orientation {header.orientation}: boxes are taken as drawn on the picture as {drawn}; "
            "--boxes upright or raw says it",
            image.where,
        )
    return usual


def _written_size(image: SourceImage, header: Header, frame: Frame, account: Account) -> tuple[int, int] | None:
    """The written size where it contradicts the file and is to be kept, for validation to refuse; else None."""
    if image.size is None or image.size in (header.stored, header.upright):
        return None
    own = header.stored if frame == "raw" else header.upright
    sizes = f"{image.size[0]} x {image.size[1]} written, {own[0]} x {own[1]} in the file"
    if image.size[::-1] == own and all(box.bbox[2] <= own[0] and box.bbox[3] <= own[1] for box in image.objects):
        account.changed(
            "width and height are exchanged in the source; the file's are written", f"{image.where}: {sizes}"
        )
        return None
    account.noted("the written size is not the file's, which validate will refuse: image_size_mismatch",
                  f"{image.where}: {sizes}")  # fmt: skip
    return image.size


def _turned(box: BBox, header: Header) -> BBox:
    """A box of the stored picture on the picture as shown; EXIF 2.3, tag 274."""
    (width, height), (xmin, ymin, xmax, ymax) = header.stored, box
    return {
        2: (width - xmin, ymin, width - xmax, ymax),
        3: (width - xmin, height - ymin, width - xmax, height - ymax),
        4: (xmin, height - ymin, xmax, height - ymax),
        5: (ymin, xmin, ymax, xmax),
        6: (height - ymin, xmin, height - ymax, xmax),
        7: (height - ymin, width - xmin, height - ymax, width - xmax),
        8: (ymin, width - xmin, ymax, width - xmax),
    }[header.orientation]


def _note_odd_boxes(image: SourceImage, size: tuple[int, int], account: Account) -> None:
    for found in image.objects:
        xmin, ymin, xmax, ymax = found.bbox
        if xmin == xmax or ymin == ymax:
            account.noted("a box without an area, which validate will refuse: box_without_area", image.place_of(found))
        elif min(xmin, ymin) < -_EDGE or xmax > size[0] + _EDGE or ymax > size[1] + _EDGE:
            account.noted("a box over the edge of its image, which validate may refuse: box_outside_image",
                          image.place_of(found))  # fmt: skip
