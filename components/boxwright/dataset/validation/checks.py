"""The questions that a rule can ask: each has the function that measures the answer, and what a finding says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from boxwright.dataset.annotations import Numbers
    from boxwright.dataset.validation.classes import ClassRow
    from boxwright.dataset.validation.image_measures import Picture, Twins
    from boxwright.dataset.validation.record_measures import Records
    from boxwright.dataset.validation.split_data import SplitData

Bound = Literal["max", "min", "above"]
Table = Literal["images", "annotations", "categories"]


@dataclass(frozen=True)
class RecordCheck:
    """One expectation about each record of a list: what is measured is NaN (then it is not checked) or within a bound.

    A record that could not be read breaks the rule that reading it names, whatever is measured.

    Attributes:
        table: the list.
        measure: one number a record, shape (n,); None where only reading a record can break the rule.
        bound: "max" and "min" take the rule's threshold, "above" is a minimum that does not hold itself.
        limit: the bound of a rule without a threshold.
        key: the record's key whose value a finding shows; None for the whole record.
        context: what the advice says first, of the record at an index.
    """

    table: Table
    measure: Callable[[Records], Numbers] | None = None
    bound: Bound = "max"
    limit: float = 0.0
    key: str | None = None
    context: Callable[[Records, int], str] | None = None


@dataclass(frozen=True)
class ClassCheck:
    """One expectation about each class of a split, measured over all splits.

    Attributes:
        measure: a number; None where the class is not asked.
        bound: as in `RecordCheck`.
        limit: as there.
        context: what the advice says first; it gets the class and those of training, the most frequent one first.
    """

    table: ClassVar[Literal["classes"]] = "classes"

    measure: Callable[[ClassRow], float | None]
    bound: Bound = "max"
    limit: float = 0.0
    context: Callable[[ClassRow, list[ClassRow]], str | None] | None = None


@dataclass(frozen=True)
class Found:
    """The place where a file breaks a rule: a list, or "file" for the whole, the record in it, and its value."""

    list: str
    value: Any
    index: int | None = None
    context: str | None = None


@dataclass(frozen=True)
class FileCheck:
    """A check of a split's file as a whole; `measure` gives the places that break the rule."""

    measure: Callable[[SplitData], Iterable[Found]]


@dataclass(frozen=True)
class FormatCheck:
    """All boxes of a split together; `mistaken_for` is the reading, or "ambiguous", that breaks the rule."""

    mistaken_for: str


@dataclass(frozen=True)
class PictureCheck:
    """One image file; `measure` gets the decoded picture and says what breaks the rule, or None."""

    measure: Callable[[Picture], str | None]


@dataclass(frozen=True)
class TwinCheck:
    """One image file and earlier ones with the same bytes; `measure` gives what breaks the rule, or None."""

    measure: Callable[[Twins], object | None]


Expectation = RecordCheck | ClassCheck
Check = RecordCheck | ClassCheck | FileCheck | FormatCheck | PictureCheck | TwinCheck
