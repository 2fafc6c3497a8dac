"""The rules that each box and image must keep, as Great Expectations checks them.

Each rule is one expectation over one data frame; whatever fails comes back with its row, all of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.dataset.records import Annotations, Fault, shorten

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

TOLERANCE = 1.0  # pixels that a box may reach over the image's edge: labelling tools round


@dataclass(frozen=True)
class RuleResult:
    """How one rule went over one split: how many records were checked, and those that failed."""

    rule: str
    checked: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class _Rule:
    name: str
    expectation: Any
    advice: str


def check_rules(annotations: Annotations, sizes: dict[str, int]) -> list[RuleResult]:
    """Checks all rules over one split.

    Args:
        annotations: well-formed records, as `scan_annotations` returns them.
        sizes: bytes of each file in the listing of images/, by its path relative to images/.

    Returns:
        One result a rule, in a fixed order, with every record that failed.
    """
    box_frame, image_frame = _box_frame(annotations), _image_frame(annotations, sizes)
    results = _check(box_frame, _box_rules(annotations), "annotations")
    return results + _check(image_frame, _image_rules(), "images")


def _box_rules(annotations: Annotations) -> list[_Rule]:
    gxe = _great_expectations().expectations
    greater, advice = gxe.ExpectColumnPairValuesAToBeGreaterThanB, _order_advice(annotations)
    both = {"ignore_row_if": "either_value_is_missing"}
    # Great Expectations takes an empty set for no limit at all; -1 is no id.
    known = list(annotations.category_ids) or [-1]
    return [
        _Rule(
            "bbox is finite",
            gxe.ExpectColumnValuesToBeInSet(column="finite_numbers", value_set=[4]),
            "give four finite numbers",
        ),
        _Rule("xmin < xmax", greater(column_A="xmax", column_B="xmin", **both), advice),
        _Rule("ymin < ymax", greater(column_A="ymax", column_B="ymin", **both), advice),
        _Rule(
            "bbox is inside the image",
            gxe.ExpectColumnValuesToBeBetween(column="overhang", max_value=TOLERANCE),
            f"cut the box at the image's edge (up to {TOLERANCE:g} px over it is taken), or correct width and height",
        ),
        _Rule(
            "category is known",
            gxe.ExpectColumnValuesToBeInSet(column="category_id", value_set=known),
            f"use one of the ids {shorten(list(annotations.category_ids))} or add it to categories",
        ),
    ]


def _image_rules() -> list[_Rule]:
    gxe = _great_expectations().expectations
    return [
        _Rule(
            "image file exists",
            gxe.ExpectColumnValuesToNotBeNull(column="listed_bytes"),
            "put the file into images/ or take the image and its boxes out",
        ),
        _Rule(
            "image file is not empty",
            gxe.ExpectColumnValuesToBeBetween(column="listed_bytes", min_value=1),
            "upload the file again",
        ),
    ]


def _order_advice(annotations: Annotations) -> str:
    """What to do about corners in the wrong order; COCO's [x, y, width, height] is the most frequent cause."""
    images = {image.id: image for image in annotations.images}
    fits_as_coco = all(
        x >= 0 and y >= 0 and 0 < w <= image.width - x + TOLERANCE and 0 < h <= image.height - y + TOLERANCE
        for box in annotations.boxes
        for (x, y, w, h), image in [(box.bbox, images[box.image_id])]
    )
    if fits_as_coco:
        return "all boxes read like COCO's [x, y, width, height]; write [xmin, ymin, xmax, ymax]"
    return "write [xmin, ymin, xmax, ymax] with an area, or take the box out"


def _box_frame(annotations: Annotations) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    images = {image.id: image for image in annotations.images}
    owners = [images[box.image_id] for box in annotations.boxes]
    corners = np.array([box.bbox for box in annotations.boxes], dtype=np.float64).reshape(-1, 4)
    finite = np.isfinite(corners)
    # A box that is not finite breaks that rule alone; missing values are left out by the others.
    corners[~finite.all(axis=1)] = np.nan
    xmin, ymin, xmax, ymax = corners.T
    width = np.array([image.width for image in owners], dtype=np.float64)
    height = np.array([image.height for image in owners], dtype=np.float64)
    overhang = np.max([-xmin, -ymin, xmax - width, ymax - height], axis=0) if owners else np.empty(0)
    # Within the tolerance, and yet nothing of it is left when it is cut at the edge.
    overhang[(xmin >= width) | (ymin >= height) | (xmax <= 0) | (ymax <= 0)] = np.inf
    return pd.DataFrame(
        {
            "index": [box.index for box in annotations.boxes],
            "value": [list(box.bbox) for box in annotations.boxes],
            "file": [image.file_name for image in owners],
            "finite_numbers": finite.sum(axis=1),
            "xmin": xmin,
            "ymin": ymin,
            "xmax": xmax,
            "ymax": ymax,
            "overhang": overhang,
            "category_id": [box.category_id for box in annotations.boxes],
        }
    )


def _image_frame(annotations: Annotations, sizes: dict[str, int]) -> pd.DataFrame:
    import pandas as pd

    names = [image.file_name for image in annotations.images]
    listed = pd.array([sizes.get(name) for name in names], dtype="Float64")
    return pd.DataFrame({"index": range(len(names)), "value": names, "file": names, "listed_bytes": listed})


def _check(frame: pd.DataFrame, rules: Sequence[_Rule], where: str) -> list[RuleResult]:
    if frame.empty:
        return [RuleResult(rule.name, 0, ()) for rule in rules]
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("dataset").add_dataframe_asset(where)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    for number, rule in enumerate(rules):
        rule.expectation.meta = {"rule": number}
    suite = gx.ExpectationSuite(name=where, expectations=[rule.expectation for rule in rules])
    complete = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
    results = batch.validate(suite, result_format=complete).results
    outcome = {result.expectation_config.meta["rule"]: result for result in results}
    return [_result(frame, rule, outcome[number], where) for number, rule in enumerate(rules)]


def _result(frame: pd.DataFrame, rule: _Rule, outcome: Any, where: str) -> RuleResult:
    if "unexpected_index_list" not in outcome.result:
        raise RuntimeError(f"Great Expectations did not evaluate {rule.name!r}: {outcome.exception_info}")
    column = "category_id" if rule.name == "category is known" else "value"
    rows = frame.loc[outcome.result["unexpected_index_list"] or [], ["index", "file", column]]
    faults = [
        Fault(rule.name, where, int(index), value, rule.advice, file)
        for index, file, value in rows.itertuples(index=False, name=None)
    ]
    return RuleResult(rule.name, len(frame), tuple(faults))


def _great_expectations() -> Any:
    # It reads this at import, and would send usage events to its makers otherwise.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations

    return great_expectations
