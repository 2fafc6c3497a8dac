"""Whether a model tells its classes apart, or guesses their names: a test on the boxes that it places right.

A class is compared with the class that it is confused with most, with the two such, and so on, and with all others: two
classes that go by each other's names at random are told from the rest, and yet not from each other. Of the boxes of the
class and its rivals that have one of their names, two shares are compared: how often a box of the class has its name,
and how often a rival's box has it. Where names are guessed both are equal, however frequent classes and names are; else
their difference is the share of the boxes whose class the model knows, if it guesses the rest.

Names may also be drawn for the boxes of one class alone, which are then told from others that are always named rightly.
So a class must also be named rightly more often than by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from boxwright.evaluation.records import ToldApart

Verdict = Literal["told apart", "guessed", "too few boxes"]
# A class is guessed where a test at this level, for all classes together, does not show it to be better than chance...
LEVEL = 0.05
# ...and where the interval leaves out that every second box is known; with too few boxes for that, nothing is said.
KNOWN = 0.5
# Nor with fewer boxes of a class, or of its rivals: two boxes that have each other's names are not evidence.
_LEAST_BOXES = 5
# Of the classes that it is confused with, so many are tried one after the other.
_RIVALS = 5


def judge_classes(names: Sequence[str], counts: NDArray[np.int64]) -> dict[str, ToldApart]:
    """Tests each class that has boxes.

    Args:
        names: of the classes.
        counts: `(classes, classes)` boxes that are placed right; rows are the truth, columns what they are called.

    Returns:
        By class name; nothing where there is one class only, or none.
    """
    present = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    if len(present) < 2:
        return {}
    counts, names = counts[np.ix_(present, present)], [names[row] for row in present.tolist()]
    asked = np.flatnonzero(counts.sum(axis=1)).tolist()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mixed = shares + shares.T
    np.fill_diagonal(mixed, -1.0)
    return {names[row]: _judge(names, counts, mixed[row], row, LEVEL / len(asked)) for row in asked}


def _judge(
    names: Sequence[str], counts: NDArray[np.int64], mixed: NDArray[np.float64], row: int, level: float
) -> ToldApart:
    order = np.argsort(-counts[row], kind="stable")
    called = {names[column]: int(counts[row, column]) for column in order.tolist() if counts[row, column]}
    tested = [_test(names, counts, row, rivals, level) for rivals in _groups(mixed)]
    tested.append(_test_alone(counts, row, level))
    guessed = [one for one in tested if one["p_value"] >= level and one["high"] < KNOWN]
    verdict: Verdict
    if guessed:
        shown, verdict = min(guessed, key=lambda one: one["high"]), "guessed"
    else:
        shown = max(tested, key=lambda one: one["p_value"])
        verdict = "too few boxes" if shown["p_value"] >= level else "told apart"
    return ToldApart(verdict=verdict, boxes=int(counts[row].sum()), names=called, **shown)


def _groups(mixed: NDArray[np.float64]) -> Iterator[list[int]]:
    """The classes that a class is confused with most, one more each time, and all others."""
    rivals = np.argsort(-mixed, kind="stable")[:-1].tolist()
    confused = sum(mixed[other] > 0 for other in rivals[:_RIVALS])
    for size in range(1, confused + 1):
        if size < len(rivals):
            yield rivals[:size]
    yield rivals


def _test(
    names: Sequence[str], counts: NDArray[np.int64], row: int, rivals: Sequence[int], level: float
) -> dict[str, Any]:
    """The fields of `ToldApart` about a class and its rivals."""
    from scipy.stats import hypergeom

    group = [row, *rivals]
    table = counts[np.ix_(group, group)] if len(group) < len(counts) else counts
    place = 0 if len(group) < len(counts) else row
    own, named, boxes = int(table[place].sum()), int(table[:, place].sum()), int(table.sum())
    right = int(counts[row, row])
    fields: dict[str, Any] = {"rivals": [names[other] for other in rivals] if len(rivals) <= _RIVALS else []}
    if own in (0, boxes):
        # Nothing to compare with.
        return fields | {"low": -1.0, "high": 1.0, "p_value": 1.0}
    known, low, high = _difference((right, own), (named - right, boxes - own), level)
    return fields | {
        "right": right / own,
        "by_lot": named / boxes,
        "known": known,
        "low": low,
        "high": high,
        "p_value": min(1.0, float(hypergeom.sf(right - 1, boxes, own, named))),
    }


def _test_alone(counts: NDArray[np.int64], row: int, level: float) -> dict[str, Any]:
    """The fields of `ToldApart` about a class's own boxes: whether they have its name more often than by chance.

    A guess names all classes evenly, or by their frequencies: what is less for the class counts.
    """
    from scipy.stats import binom

    own, right = int(counts[row].sum()), int(counts[row, row])
    by_lot = min(1 / len(counts), own / int(counts.sum()))
    known, low, high = ((value - by_lot) / (1 - by_lot) for value in _share(right, own, level))
    p_value = float(binom.sf(right - 1, own, by_lot))
    found = {"right": right / own, "by_lot": by_lot, "known": known, "low": low, "high": high}
    return found | {"rivals": [], "p_value": min(1.0, p_value)}


def _difference(first: tuple[int, int], second: tuple[int, int], level: float) -> tuple[float, float, float]:
    """The difference of two shares with its interval, by Newcombe's method 10 (Statistics in Medicine 17, 1998).

    That joins the intervals of the two shares. His are Wilson's; these are exact (Clopper and Pearson's), which are
    wider where there are few boxes.

    Args:
        first: boxes that have the name, of how many.
        second: the same of the rivals.
        level: the chance that the interval misses the truth, at most.

    Returns:
        The difference and the ends of its interval, whose upper one is 1 where a side has too few boxes.
    """
    (p, low, high), (q, other_low, other_high) = (_share(*one, level) for one in (first, second))
    below, above = math.hypot(p - low, other_high - q), math.hypot(high - p, q - other_low)
    most = min(p - q + above, 1.0) if min(first[1], second[1]) >= _LEAST_BOXES else 1.0
    return p - q, max(p - q - below, -1.0), most


def _share(count: int, total: int, level: float) -> tuple[float, float, float]:
    from scipy.special import betaincinv

    low = float(betaincinv(count, total - count + 1, level / 2)) if count else 0.0
    high = float(betaincinv(count + 1, total - count, 1 - level / 2)) if count < total else 1.0
    return count / total, low, high
