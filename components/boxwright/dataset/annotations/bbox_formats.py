"""The format of the boxes (corners or COCO), inferred from all boxes of a dataset and reported with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boxwright.config import ValidationConfig

Numbers = NDArray[np.float64]
_LEGAL = ("corners", "coco")
# A set is in another format only where nearly every box is possible in that one.
_TIMES_BETTER = 10
_EPSILON = 1e-3
_WORDS = {
    "corners": "[xmin, ymin, xmax, ymax]",
    "coco": "[x, y, width, height]",
    "normalised": "normalised to [0, 1]",
    "yxyx": "[ymin, xmin, ymax, xmax]",
    "width_height_swapped": "corners in images whose width and height are swapped",
}
# The corners that yxyx and swapped sizes allow are the same ones: only the image files can tell the two apart.
_READINGS = ("corners", "coco", "normalised", "yxyx")


@dataclass(frozen=True)
class Evidence:
    """The number of `boxes` that are impossible under each reading."""

    boxes: int
    impossible: Mapping[str, int]

    def __add__(self, other: Evidence) -> Evidence:
        total = {name: count + other.impossible[name] for name, count in self.impossible.items()}
        return Evidence(self.boxes + other.boxes, total)

    def to_dict(self) -> dict[str, int]:
        """The counts, flat: `boxes`, and one entry a reading."""
        return {"boxes": self.boxes, **self.impossible}

    def __str__(self) -> str:
        counts = ", ".join(f"{count} as {_WORDS[name]}" for name, count in self.impossible.items())
        return f"of {self.boxes} boxes, these are impossible: {counts}"


@dataclass(frozen=True)
class Verdict:
    """The format of a split's boxes.

    Attributes:
        reading: "corners" or "coco"; None where the boxes cannot be read.
        mistaken_for: what they are instead: another reading, or "ambiguous"; None where `reading` is right.
        counts: what the counts say; empty where `reading` is right.
    """

    reading: str | None
    mistaken_for: str | None = None
    counts: str = ""


def corners_of(bbox: Numbers, reading: str) -> Numbers:
    """Boxes as (xmin, ymin, xmax, ymax), shape (n, 4).

    Args:
        bbox: the file's numbers, shape (n, 4).
        reading: "corners" or "coco".
    """
    if reading == "corners":
        return bbox
    with np.errstate(over="ignore", invalid="ignore"):
        return np.hstack([bbox[:, :2], bbox[:, :2] + bbox[:, 2:]])


def evidence_of(bbox: Numbers, size: Numbers, tolerance: float) -> Evidence:
    """Counts the impossible boxes of a set under each reading.

    Args:
        bbox: the file's numbers, shape (n, 4); rows that are not finite are left out.
        size: width and height of each box's image in pixels, shape (n, 2); rows with NaN are left out.
        tolerance: pixels that a box may reach over its image's edge.
    """
    usable = np.isfinite(bbox).all(axis=1) & np.isfinite(size).all(axis=1)
    bbox, size = bbox[usable], size[usable]
    # A box in the first pixel is not an object: these are numbers that are not in pixels.
    unscaled = (bbox.max(axis=1) <= 1 + _EPSILON) if len(bbox) else np.zeros(0, bool)
    normalised = (bbox < -_EPSILON).any(axis=1) | ~unscaled | (bbox[:, 2:] <= 0).any(axis=1)

    def outside(corners: Numbers, limits: Numbers) -> int:
        return int((unscaled | is_impossible(corners, limits, tolerance)).sum())

    return Evidence(
        len(bbox),
        {
            "corners": outside(bbox, size),
            "coco": outside(corners_of(bbox, "coco"), size),
            "normalised": int(normalised.sum()),
            "yxyx": outside(bbox[:, [1, 0, 3, 2]], size),
            "width_height_swapped": outside(bbox, size[:, ::-1]),
        },
    )


def is_impossible(corners: Numbers, size: Numbers, tolerance: float) -> NDArray[np.bool_]:
    """Whether each box (xmin, ymin, xmax, ymax) has no area or reaches out of its image (width, height)."""
    low, high = corners[:, :2], corners[:, 2:]
    return np.asarray(((low >= high) | (low < -tolerance) | (high > size + tolerance)).any(axis=1), np.bool_)


def judge(by_split: Mapping[str, Evidence], config: ValidationConfig) -> dict[str, Verdict]:
    """Decides how each split's boxes are read, or what is wrong with their format.

    With `bbox_format` auto the splits are one set; otherwise each is held against the format that was asked for.
    """
    if config.bbox_format == "auto":
        return _judge_auto(by_split, config)
    return {split: _judge(evidence, config.bbox_format, config) for split, evidence in by_split.items()}


def _judge(evidence: Evidence, reading: str, config: ValidationConfig) -> Verdict:
    impossible = evidence.impossible[reading]
    if impossible and impossible >= config.format_share * evidence.boxes:
        others = {name: evidence.impossible[name] for name in _READINGS if name != reading}
        best = min(others, key=lambda name: others[name])
        if others[best] * _TIMES_BETTER <= impossible:
            return Verdict(None, best, str(evidence))
    return Verdict(reading)


def _judge_auto(by_split: Mapping[str, Evidence], config: ValidationConfig) -> dict[str, Verdict]:
    evidence = sum(by_split.values(), Evidence(0, dict.fromkeys(_WORDS, 0)))
    allowed = config.format_share * evidence.boxes
    possible = [reading for reading in _LEGAL if evidence.impossible[reading] <= allowed]
    if not evidence.boxes:
        possible = ["corners"]
    if len(possible) == 1:
        return {split: _judge(found, possible[0], config) for split, found in by_split.items()}
    others = [] if possible else [name for name in _READINGS if evidence.impossible[name] <= allowed]
    mistaken_for = others[0] if others else "ambiguous"
    both = "both corners and coco are possible" if possible else "neither corners nor coco is possible"
    return {split: Verdict(None, mistaken_for, f"{both}: {evidence}") for split in by_split}
