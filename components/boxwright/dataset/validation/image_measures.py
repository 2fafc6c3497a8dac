"""Measures of the rules about image files: the violation in words, or None if the rule is kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from boxwright.dataset.annotations import ImageRecord
from boxwright.errors import shorten
from boxwright.images import is_quarter_turned, orientation_of

if TYPE_CHECKING:
    from PIL import Image

_SUFFIXES = {"JPEG": (".jpg", ".jpeg"), "MPO": (".jpg", ".jpeg"), "PNG": (".png",)}
_GRAY, _TRANSPARENT = ("1", "L"), ("LA", "PA", "RGBA")
_PNG_DEPTH = 24  # offset of the bit depth in a PNG file


@dataclass(frozen=True)
class Place:
    """The place of an image: `index` is its position in the `images` of the annotations file of `split`."""

    split: str
    index: int
    file: str

    def __str__(self) -> str:
        return f"{self.split}: images[{self.index}] {shorten(self.file, 260)}"


@dataclass(frozen=True)
class Twins:
    """The first earlier places of an image's bytes: in its own split, and in splits before that."""

    own: Place | None
    before: Place | None


@dataclass(frozen=True)
class Picture:
    """An image file that could be decoded.

    Attributes:
        image: the decoded picture.
        header: the first bytes of the file.
        record: what the annotations declare.
    """

    image: Image.Image
    header: bytes
    record: ImageRecord

    @property
    def kind(self) -> str:
        """The format by its content: JPEG, MPO (a JPEG with a preview) or PNG."""
        return str(self.image.format)

    @property
    def has_16_bits(self) -> bool:
        """Whether a channel has more than 8 bits."""
        return self.image.mode.startswith(("I", "F")) or (self.kind == "PNG" and self.header[_PNG_DEPTH] == 16)

    @property
    def declared(self) -> tuple[int, int]:
        """Width and height in the annotations."""
        return self.record.width, self.record.height

    @cached_property
    def orientation(self) -> int:
        """The EXIF orientation from 1 to 8; 1 is upright."""
        return orientation_of(self.image)

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height as a viewer shows it."""
        width, height = self.image.size
        return (height, width) if is_quarter_turned(self.orientation) else (width, height)

    @property
    def has_declared_size(self) -> bool:
        """Whether the file has the declared size, stored or as shown."""
        return self.declared in (self.image.size, self.shown)


def another_size(picture: Picture) -> str | None:
    """A declared size that is not the file's."""
    return (
        None
        if picture.has_declared_size
        else f"{_by(picture.image.size)} in the file, {_by(picture.declared)} declared"
    )


def turned_against_boxes(picture: Picture) -> str | None:
    """An EXIF flag that turns the picture away from its boxes."""
    if not picture.has_declared_size or picture.orientation == 1:
        return None
    # Only a quarter turn whose declared size is the turned one proves that the boxes were drawn on what is shown.
    if picture.declared == picture.shown != picture.image.size:
        return None
    sizes = f"{_by(picture.declared)} declared, {_by(picture.image.size)} stored"
    return f"EXIF orientation {picture.orientation}, {sizes}"


def gray(picture: Picture) -> str | None:
    """One channel in place of three."""
    return _mode(picture) if picture.image.mode in _GRAY and not picture.has_16_bits else None


def transparent(picture: Picture) -> str | None:
    """A channel, or an entry of the palette, that is see-through."""
    if picture.has_16_bits:
        return None
    if picture.image.mode == "P" and "transparency" in picture.image.info:
        return "palette with transparency"
    return _mode(picture) if picture.image.mode in _TRANSPARENT else None


def cmyk(picture: Picture) -> str | None:
    """Colours for print."""
    return _mode(picture) if picture.image.mode == "CMYK" else None


def deep(picture: Picture) -> str | None:
    """More than 8 bits a channel."""
    return f"16 bits a channel, {_mode(picture)}" if picture.has_16_bits else None


def animated(picture: Picture) -> str | None:
    """A PNG of several frames; the second one of a phone's JPEG is a preview."""
    frames = getattr(picture.image, "n_frames", 1)
    return f"{frames} frames" if picture.kind == "PNG" and frames > 1 else None


def another_extension(picture: Picture) -> str | None:
    """A file name that says another format than the content has."""
    suffix = PurePosixPath(picture.record.file_name).suffix.lower()
    return None if suffix in _SUFFIXES[picture.kind] else f"{picture.kind} in a file {suffix}"


def in_same_split(twins: Twins) -> Place | None:
    """The same bytes earlier in the split."""
    return twins.own


def in_earlier_split(twins: Twins) -> Place | None:
    """The same bytes in an earlier split; training comes first."""
    return twins.before


def _mode(picture: Picture) -> str:
    return f"mode {picture.image.mode}"


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
