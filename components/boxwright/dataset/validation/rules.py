"""The rules that a dataset must keep, as data: name, severity, threshold, what it says, and what to do.

A rule with a `Check` is one Great Expectations expectation on one column of a table of `tables.py`; the others are
checked where their subject is at hand: the file while it is read, the images after the download.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from boxwright.config import ValidationConfig
from boxwright.errors import UsageError

Scope = Literal["structure", "boxes", "format", "images", "classes"]
Table = Literal["images", "annotations", "categories", "classes"]


@dataclass(frozen=True)
class Check:
    """One expectation: `column` of `table` is NaN (then it is not checked) or within a bound.

    Attributes:
        bound: "max" and "min" take the rule's threshold, "above" is a minimum that does not hold itself.
        limit: the bound of a rule without a threshold.
    """

    table: Table
    column: str
    bound: Literal["max", "min", "above"] = "max"
    limit: float = 0.0


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: how reports and the setting `severities` call it.
        severity: "error" stops a run, a "warning" does not.
        threshold: the number it is held against; None where there is none.
        scope: what it looks at.
        description: what holds where it is kept.
        advice: what to do where it is broken.
        setting: the field of `ValidationConfig` that has the threshold.
        checks: the expectations behind it.
    """

    name: str
    severity: Literal["error", "warning"]
    threshold: float | None
    scope: Scope
    description: str
    advice: str
    setting: str | None = None
    checks: tuple[Check, ...] = ()


def _rule(
    scope: Scope,
    name: str,
    description: str,
    advice: str,
    *,
    warning: bool = False,
    setting: str | None = None,
    check: Check | tuple[Check, ...] = (),
) -> Rule:
    threshold = ValidationConfig.model_fields[setting].default if setting else None
    checks = (check,) if isinstance(check, Check) else check
    return Rule(name, "warning" if warning else "error", threshold, scope, description, advice, setting, checks)


def _each(*tables: Table, column: str) -> tuple[Check, ...]:
    return tuple(Check(table, column) for table in tables)


_ALL = (
    # Structure
    _rule("structure", "file_unreadable", "the annotations file is there, and is UTF-8 JSON with the lists images and "
          "annotations", "write the file again, complete"),
    _rule("structure", "dataset_empty", "there is an image, and in training a box", "add images and boxes"),
    _rule("structure", "missing_key", "a record has every key it needs", "add the key",
          check=_each("images", "annotations", "categories", column="missing_key")),
    _rule("structure", "wrong_type", "a key's value has its type and range", "correct the value",
          check=_each("images", "annotations", "categories", column="wrong_type")),
    _rule("structure", "unknown_key", "keys are those of the format or of COCO; others are not read",
          "correct the key where it is misspelt, or take it out", warning=True),
    _rule("structure", "id_not_unique", "ids of images and of categories are unique", "give each its own id",
          check=_each("images", "categories", column="id_copies")),
    _rule("structure", "annotation_id_not_unique", "ids of annotations, where given, are unique; nothing reads them",
          "give each its own id or leave them out", warning=True, check=Check("annotations", "id_copies")),
    _rule("structure", "file_name_not_unique", "a file is named by one image record",
          "join the records that name it", check=Check("images", "name_copies")),
    _rule("structure", "image_id_unknown", "every image_id is the id of an image", "correct image_id or add the image",
          check=Check("annotations", "image_known", "min", 1)),
    _rule("structure", "category_id_unknown", "every category_id is the id of a category",
          "use the id of a category or add it to categories", check=Check("annotations", "category_known", "min", 1)),
    _rule("structure", "file_name_unsafe", "file_name stays inside images/: relative, no .., no control characters",
          "rename the file", check=Check("images", "file_name_unsafe")),
    _rule("structure", "file_extension_unknown", "file_name ends in .jpg, .jpeg or .png", "convert the image",
          check=Check("images", "file_extension_unknown")),
    _rule("structure", "too_much_dropped", "no more than this share of a split's images or boxes is dropped",
          "mend the records that the report lists, or raise max_drop_share", setting="max_drop_share"),
    # Boxes
    _rule("boxes", "box_not_finite", "bbox is four finite numbers", "give four finite numbers [xmin, ymin, xmax, ymax]",
          check=Check("annotations", "finite_numbers", "min", 4)),
    _rule("boxes", "box_without_area", "xmin < xmax and ymin < ymax",
          "write [xmin, ymin, xmax, ymax] with an area, or take the box out",
          check=Check("annotations", "smallest_side", "above", 0)),
    _rule("boxes", "box_outside_image", "a box is inside its image, or over its edge by no more than this many pixels",
          "cut the box at the image's edge, or correct width and height", setting="box_tolerance",
          check=Check("annotations", "overhang")),
    _rule("boxes", "box_too_small", "at the model's input size, no side is below this many pixels",
          "use a larger image_size, tile the images, or take the box out", warning=True, setting="small_box_pixels",
          check=Check("annotations", "input_side", "min")),
    _rule("boxes", "box_duplicate", "no box is there twice, with the same image, category and numbers",
          "take the copy out", check=Check("annotations", "copies")),
    _rule("boxes", "box_covers_image", "a box covers no more than this share of its image",
          "look whether it is an object or a label of the whole image", warning=True, setting="large_box_share",
          check=Check("annotations", "cover")),
    # Format: over all boxes of a split
    _rule("format", "format_coco", "boxes are no COCO [x, y, width, height] where corners are expected",
          "set bbox_format to coco, or write [xmin, ymin, xmax, ymax]"),
    _rule("format", "format_corners", "boxes are no corners where COCO's [x, y, width, height] is expected",
          "set bbox_format to corners"),
    _rule("format", "format_normalised", "boxes are in pixels, not in [0, 1]",
          "multiply x by the image's width and y by its height"),
    _rule("format", "format_axes_swapped", "x comes before y, and width and height are not exchanged",
          "either the boxes are [ymin, xmin, ymax, xmax] or the images' width and height are swapped: compare one "
          "image with its record and swap what is wrong"),
    _rule("format", "format_ambiguous", "with bbox_format auto, the boxes can be read in exactly one way",
          "set bbox_format to corners or coco"),
    # Images: the listing before the download, the rest after it
    _rule("images", "image_missing", "every image is there below images/",
          "put the file into images/ or take the image and its boxes out",
          check=Check("images", "listed", "min", 1)),
    _rule("images", "image_empty", "no image file is empty", "upload the file again",
          check=Check("images", "listed_bytes", "min", 1)),
    _rule("images", "image_undecodable", "every image decodes as a whole", "upload the file again or take it out"),
    _rule("images", "image_size_mismatch", "width and height are those of the file",
          "correct width and height in the annotations, and the boxes with them"),
    _rule("images", "image_orientation", "no EXIF flag turns the picture against its boxes",
          "save the image upright and without the flag, or declare the size the boxes were drawn on", warning=True),
    _rule("images", "image_grayscale", "images have three colour channels; gray is repeated",
          "nothing, unless colour matters", warning=True),
    _rule("images", "image_rgba", "images have no transparency; it is cut off", "save the image as RGB", warning=True),
    _rule("images", "image_cmyk", "images are RGB, not CMYK, whose colours change in the conversion",
          "save the image as RGB", warning=True),
    _rule("images", "image_16bit", "images have 8 bits a channel; of 16 the upper ones are kept",
          "scale the image to 8 bits yourself", warning=True),
    _rule("images", "image_animated", "an image is one picture; of several the first is taken",
          "save the picture that the boxes belong to", warning=True),
    _rule("images", "image_too_large", "an image has no more than this many million pixels", "scale or tile it",
          setting="max_megapixels"),
    _rule("images", "image_extension_mismatch", "a file's extension says what its content is", "rename the file",
          warning=True),
    _rule("images", "duplicate_image_within_split", "no two files of a split have the same bytes",
          "take one out, and join their boxes", warning=True),
    _rule("images", "duplicate_image_across_splits", "no file of one split is in another: metrics would be too good",
          "take it out of one of the splits"),
    # Classes
    _rule("classes", "categories_missing", "the file has categories; without, classes are named class_<id>",
          "add categories with id and name", warning=True),
    _rule("classes", "category_name_not_unique", "a name belongs to one category", "join the categories or rename one",
          check=Check("categories", "name_copies")),
    _rule("classes", "category_without_boxes", "every category has a box somewhere",
          "take the placeholder out of categories", warning=True, check=Check("classes", "boxes_anywhere", "min", 1)),
    _rule("classes", "class_too_few_boxes", "a class has at least this many boxes in training",
          "label more of it, or take the class out", setting="min_boxes_per_class",
          check=Check("classes", "training_boxes", "min")),
    _rule("classes", "class_not_in_training", "a class of validation or test has boxes in training",
          "add training images of it, or take its boxes out",
          check=Check("classes", "boxes_to_learn_from", "above", 0)),
    _rule("classes", "class_names_differ", "a category id has the same name in all splits", "make the names agree",
          check=Check("classes", "names", "max", 1)),
    _rule("classes", "class_imbalance", "in training, no class has more than this many times the boxes of another",
          "label more of the rare class", warning=True, setting="max_imbalance",
          check=Check("classes", "times_fewer")),
)  # fmt: skip

RULES: Mapping[str, Rule] = {rule.name: rule for rule in _ALL}


def rules_of(config: ValidationConfig) -> dict[str, Rule]:
    """The rules of a run: with its severities and thresholds, and without those that it turned off.

    Raises:
        UsageError: `severities` names a rule that does not exist.
    """
    if unknown := sorted(set(config.severities) - set(RULES)):
        raise UsageError(f"severities: {', '.join(unknown)} is no rule; the rules are {', '.join(RULES)}")
    chosen = {}
    for name, rule in RULES.items():
        severity = config.severities.get(name, rule.severity)
        if severity != "off":
            threshold = float(getattr(config, rule.setting)) if rule.setting else None
            chosen[name] = replace(rule, severity=severity, threshold=threshold)
    return chosen
