"""The account of a conversion: what went in, what came out, and the reason of every difference between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from boxwright.dataset.importing.source.records import SourceImage
from boxwright.errors import DataError

Kind = Literal["broken", "left out", "changed", "noted"]
_SHOWN = 5
_SHOWN_FAULTS = 10


@dataclass
class Counts:
    """Numbers of one side: `negatives` are the images without an object."""

    files: int = 0
    images: int = 0
    boxes: int = 0
    classes: int = 0
    negatives: int = 0


@dataclass
class Remark:
    """What happened to one or many records for one reason.

    Attributes:
        kind: "broken" records stop a conversion unless they are to be dropped; what is "left out" or "broken" is lost;
            what is "changed" is there in another form; what is "noted" is there as it was.
        reason: the reason, in words that fit every place.
        places: file and record of each.
        images, boxes: how many of them did not come out.
    """

    kind: Kind
    reason: str
    places: list[str] = field(default_factory=list)
    images: int = 0
    boxes: int = 0

    def __str__(self) -> str:
        first = self.places[:_SHOWN]
        more = f" and {len(self.places) - len(first)} more" if len(self.places) > len(first) else ""
        lost = self.lost_text
        return (
            f"{self.kind} ({len(self.places)}): {self.reason}{f' [{lost}]' if lost else ''}: {'; '.join(first)}{more}"
        )

    @property
    def lost_text(self) -> str:
        """How many images and boxes it took away, or nothing."""
        counted = ((self.images, "image"), (self.boxes, "box"))
        return ", ".join(f"{number} {plural(word, number)} less" for number, word in counted if number)


def plural(word: str, number: int) -> str:
    """`word` for so many."""
    return word if number == 1 else f"{word}es" if word.endswith(("s", "x")) else f"{word}s"


class Account:
    """Counts and remarks, collected while a set is read and written."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.recognised = ""
        self.went_in, self.came_out = Counts(), Counts()
        self._remarks: dict[tuple[Kind, str], Remark] = {}

    @property
    def remarks(self) -> list[Remark]:
        """All of them, the worst first."""
        order = ("broken", "left out", "changed", "noted")
        return sorted(self._remarks.values(), key=lambda remark: order.index(remark.kind))

    @property
    def losses(self) -> list[Remark]:
        """Those that say what of the source is not in what was written."""
        return [remark for remark in self.remarks if remark.kind in ("broken", "left out")]

    def broken(
        self, reason: str, where: str, *, images: int = 0, boxes: int = 0, of: SourceImage | None = None
    ) -> None:
        """A record or file that cannot be read, with the numbers of images and boxes that go with it.

        `of` is the image that the boxes are on, where it stays.
        """
        self._add("broken", reason, where, images, boxes, of)

    def left_out(
        self, reason: str, where: str, *, images: int = 0, boxes: int = 0, of: SourceImage | None = None
    ) -> None:
        """A record or file that is sound and has no place in the result, as in `broken`."""
        self._add("left out", reason, where, images, boxes, of)

    def changed(self, reason: str, where: str) -> None:
        """A record that is there in another form."""
        self._add("changed", reason, where, 0, 0)

    def noted(self, reason: str, where: str) -> None:
        """A record that is there, and that one should look at."""
        self._add("noted", reason, where, 0, 0)

    def _add(self, kind: Kind, reason: str, where: str, images: int, boxes: int, of: SourceImage | None = None) -> None:
        remark = self._remarks.get((kind, reason))
        if remark is None:
            remark = self._remarks[kind, reason] = Remark(kind, reason)
        remark.places.append(where)
        remark.images += images
        remark.boxes += boxes
        if of is not None:
            of.lost += boxes

    def raise_if_broken(self) -> None:
        """Ends a conversion that is not to drop what is broken.

        Raises:
            DataError: one line with the first broken records and their number.
        """
        broken = [f"{place}: {remark.reason}" for remark in self.remarks if remark.kind == "broken"
                  for place in remark.places]  # fmt: skip
        if broken:
            raise DataError(listed(self.source, "bad record", broken, "; mend them, or give --on-invalid drop"))

    def raise_if_lost(self) -> None:
        """Ends a strict conversion in which something was lost.

        Raises:
            DataError: one line with the first of what was lost.
        """
        lost = [f"{place}: {remark.reason}" for remark in self.losses for place in remark.places]
        if lost:
            raise DataError(listed(self.source, "lost record", lost, "; without --strict the rest is written"))

    def check_balance(self) -> None:
        """Holds what came out against what went in, less what has a reason.

        Raises:
            AssertionError: something was lost that no remark names; it is our fault.
        """
        for name in ("images", "boxes"):
            before, after = getattr(self.went_in, name), getattr(self.came_out, name)
            named = sum(getattr(remark, name) for remark in self.losses)
            if before - named != after:
                raise AssertionError(f"{self.source}: {before} {name} in, {named} lost by name, {after} out")

    def to_dict(self) -> dict[str, Any]:
        """The whole account, for programs."""
        return {
            "source": self.source,
            "recognised": self.recognised,
            "in": vars(self.went_in),
            "out": vars(self.came_out),
            "remarks": [vars(remark) for remark in self.remarks],
        }


def listed(source: str, noun: str, found: Sequence[str], hint: str = "") -> str:
    """One line that names the first few of what was found and how many there are."""
    more = f" | and {len(found) - _SHOWN_FAULTS} more" if len(found) > _SHOWN_FAULTS else ""
    return f"{source}: {len(found)} {plural(noun, len(found))}: {' | '.join(found[:_SHOWN_FAULTS])}{more}{hint}"
