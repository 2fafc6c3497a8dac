"""What a reader makes of a foreign set, whatever its format: images with their objects, as they were written."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from boxwright.errors import shorten

BBox = tuple[float, float, float, float]
Frame = Literal["upright", "raw"]


@dataclass(slots=True)
class SourceObject:
    """One object.

    Attributes:
        label: name of its class.
        bbox: (xmin, ymin, xmax, ymax), in pixels, or in shares of width and height where its image is `normalised`.
        at: number of its line or position in its list, for messages.
        crowd: whether it stands around many objects at once.
    """

    label: str
    bbox: BBox
    at: int
    crowd: bool = False


@dataclass(slots=True)
class SourceImage:
    """One image with its objects.

    Attributes:
        name: how its file is named in the set.
        where: the file and record that name it, for messages.
        object_at: the same for an object, with `{}` for its number.
        objects: in the source's order.
        size: width and height as written; None where the source has none.
        frame_unknown: whether the size does not tell which picture boxes are drawn on, where an EXIF flag turns it.
        split: the split that the source has it in, if any.
        normalised: whether boxes are shares of width and height.
        path: its file on disk, once it is found; and the name that it gets in the set that is written.
        content: gives the file's bytes, where the source holds them itself; its file is looked for first, unless it
            has an `out_name` already.
        stand_ins: other names by which its file may be found: the stem of its own label file.
        lost: the number of objects on it that were left out or are broken.
    """

    name: str
    where: str
    object_at: str
    objects: list[SourceObject] = field(default_factory=list)
    size: tuple[int, int] | None = None
    frame_unknown: bool = False
    split: str | None = None
    normalised: bool = False
    path: Path | None = None
    out_name: str = ""
    content: Callable[[], bytes] | None = None
    stand_ins: tuple[str, ...] = ()
    lost: int = 0

    def place_of(self, found: SourceObject) -> str:
        """The file and record of one of its objects."""
        return self.place_at(found.at)

    def place_at(self, number: int) -> str:
        """The file and record of its object of this number; names in it may have braces of their own."""
        return str(number).join(self.object_at.rsplit("{}", 1))


@dataclass(slots=True)
class SourceSet:
    """A set as it was read.

    Attributes:
        images: those that could be read.
        classes: name of each class in the source's order, with the id that it is to keep, or None.
        placeholders: classes that group others or stand for none, to be left out where they have no box.
        frame: the picture that boxes are drawn on by convention, where the written size does not tell: as shown
            ("upright"), or as stored ("raw").
    """

    images: list[SourceImage]
    classes: dict[str, int | None]
    placeholders: frozenset[str] = frozenset()
    frame: Frame = "upright"


class BrokenError(ValueError):
    """A file or record that cannot be read; its words say what was expected and what came."""


def class_name(written: object) -> str | None:
    """The name of a class without space around it; None where it is no text, or not of one line that can be shown.

    Spaces of other kinds in it are let through: `name_other_spaces` makes them plain for the whole set.
    """
    name = written.strip() if isinstance(written, str) else ""
    return name if name and plain_spaces(name).isprintable() else None


def plain_spaces(name: str) -> str:
    """A name with plain spaces for those of other kinds, as the one of Japanese keyboards."""
    return name if name.isprintable() else "".join(" " if unicodedata.category(c) == "Zs" else c for c in name)


def place(file: str, *record: str | int) -> str:
    """`file` and a record in it, as written, for messages: `place("a.json", "images", 3)`."""
    name = shown(file)
    if not record:
        return name
    kind, *number = record
    return f"{name}: {kind}[{number[0]}]" if number else f"{name}: {kind}"


def shown(name: str, length: int = 260) -> str:
    """A name as it is written, on one line: what cannot be printed is escaped."""
    if name.isprintable():
        return name if len(name) <= length else f"{name[: length - 3]}..."
    return shorten(name, length)
