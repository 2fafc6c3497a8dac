"""The rules that a dataset must keep, as data: name, severity, threshold, what it says, what measures it, what to do.

A new rule is a row here and, where it needs a number that nothing measures yet, the function that measures it, which
the row names. A rule without a check is found by the code that could not go on: while it read the file or an image, or
dropped records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from boxwright.config import MAX_DETECTIONS, ValidationConfig
from boxwright.dataset.validation import classes
from boxwright.dataset.validation import file_measures as files
from boxwright.dataset.validation import image_measures as pictures
from boxwright.dataset.validation import record_measures as records
from boxwright.dataset.validation.checks import (
    Check,
    ClassCheck,
    FileCheck,
    FormatCheck,
    PictureCheck,
    RecordCheck,
    Table,
    TwinCheck,
)
from boxwright.errors import UsageError, did_you_mean

Scope = Literal["structure", "boxes", "format", "images", "classes"]
_Kind = TypeVar("_Kind", bound=Check)


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: how reports and the setting `severities` call it.
        severity: "error" stops a run, a "warning" does not.
        threshold: the number it is held against; None where there is none.
        scope: what it is about, as reports group rules.
        description: what holds where it is kept.
        advice: what to do where it is broken.
        setting: the field of `ValidationConfig` that has the threshold.
        checks: what is measured for it; of each table at most once.
        spoils_image: whether an image that breaks it cannot be opened, to be compared with others or drawn.
        shares_file: whether what breaks it shares its file with another image, so that dropping it drops both.
        is_spare: whether what breaks it says nothing that is not there already, so that a warning leaves it out.
    """

    name: str
    severity: Literal["error", "warning"]
    threshold: float | None
    scope: Scope
    description: str
    advice: str
    setting: str | None = None
    checks: tuple[Check, ...] = ()
    spoils_image: bool = False
    shares_file: bool = False
    is_spare: bool = False

    def __post_init__(self) -> None:
        tables = [check.table for check in self.checks if isinstance(check, RecordCheck | ClassCheck)]
        if len(tables) != len(set(tables)):
            raise ValueError(f"{self.name}: expected at most one check a table, got them on {', '.join(tables)}")

    def of_kind(self, kind: type[_Kind]) -> list[_Kind]:
        """The checks of one kind."""
        return [check for check in self.checks if isinstance(check, kind)]

    def advise(self, context: str | None) -> str:
        """The advice, after the facts about this very place."""
        return f"{context}; {self.advice}" if context else self.advice

    @property
    def is_asked_of_images(self) -> bool:
        """Whether each image file is held against it after the download."""
        of_files = any(isinstance(check, PictureCheck | TwinCheck) for check in self.checks)
        return of_files or (self.scope == "images" and not self.checks)


def _rule(
    scope: Scope,
    name: str,
    description: str,
    advice: str,
    *,
    warning: bool = False,
    setting: str | None = None,
    check: Check | tuple[Check, ...] = (),
    spoils_image: bool = False,
    shares_file: bool = False,
    is_spare: bool = False,
) -> Rule:
    threshold = ValidationConfig.model_fields[setting].default if setting else None
    checks = check if isinstance(check, tuple) else (check,)
    severity: Literal["error", "warning"] = "warning" if warning else "error"
    return Rule(
        name, severity, threshold, scope, description, advice, setting, checks, spoils_image, shares_file, is_spare
    )


def _each(*tables: Table) -> tuple[Check, ...]:
    return tuple(RecordCheck(table) for table in tables)


_ALL = (
    # Structure
    _rule("structure", "file_unreadable", "the annotations file is there, and is UTF-8 JSON with the lists images and "
          "annotations", "write the file again, complete"),
    _rule("structure", "dataset_empty", "there is an image, and in training a box", "add images and boxes",
          check=FileCheck(files.empty_lists)),
    _rule("structure", "missing_key", "a record has every key it needs", "add the key",
          check=_each("images", "annotations", "categories")),
    _rule("structure", "wrong_type", "a key's value has its type and range", "correct the value",
          check=_each("images", "annotations", "categories")),
    _rule("structure", "unknown_key", "keys are those of the format or of COCO; others are not read",
          "correct the key where it is misspelt, or take it out", warning=True,
          check=FileCheck(files.keys_not_read)),
    _rule("structure", "id_not_unique", "ids of images and of categories are unique", "give each its own id",
          check=(RecordCheck("images", records.id_copies, key="id", context=records.who_has_the_id),
                 RecordCheck("categories", records.id_copies, key="id",
                             context=records.who_has_the_id))),
    _rule("structure", "annotation_id_not_unique", "ids of annotations, where given, are unique; nothing reads them",
          "give each its own id or leave them out", warning=True,
          check=RecordCheck("annotations", records.id_copies, key="id",
                            context=records.who_has_the_id)),
    _rule("structure", "file_name_not_unique", "a file is named by one image record",
          "join the records that name it", shares_file=True,
          check=RecordCheck("images", records.name_copies, key="file_name",
                            context=records.who_has_the_file)),
    _rule("structure", "image_id_unknown", "every image_id is the id of an image", "correct image_id or add the image",
          check=RecordCheck("annotations", records.image_known, "min", 1, key="image_id")),
    _rule("structure", "category_id_unknown", "every category_id is the id of a category",
          "use the id of a category or add it to categories",
          check=RecordCheck("annotations", records.category_known, "min", 1, key="category_id",
                            context=records.known_categories)),
    _rule("structure", "file_name_unsafe", "file_name stays inside images/: relative, no .., no control characters",
          "rename the file", check=RecordCheck("images"), spoils_image=True),
    _rule("structure", "file_extension_unknown", "file_name ends in .jpg, .jpeg or .png", "convert the image",
          check=RecordCheck("images")),
    _rule("structure", "too_much_dropped", "no more than this share of a split's images or boxes is dropped",
          "mend the records that the report lists, or raise max_drop_share", setting="max_drop_share"),
    _rule("structure", "too_few_images", "training has images enough to hold one out, where there is no validation set",
          "add images with boxes, or give a validation dataset"),
    # Boxes
    _rule("boxes", "box_not_finite", "bbox is four finite numbers", "give four finite numbers [xmin, ymin, xmax, ymax]",
          check=RecordCheck("annotations", records.finite_numbers, "min", 4, key="bbox")),
    _rule("boxes", "box_without_area", "xmin < xmax and ymin < ymax",
          "write [xmin, ymin, xmax, ymax] with an area, or take the box out",
          check=RecordCheck("annotations", records.smallest_side, "above", 0, key="bbox")),
    _rule("boxes", "box_outside_image", "a box is inside its image, or over its edge by no more than this many pixels",
          "cut the box at the image's edge, or correct width and height", setting="box_tolerance",
          check=RecordCheck("annotations", records.overhang, key="bbox", context=records.image_of_box)),
    _rule("boxes", "box_too_small", "at the model's input size, no side is below this many pixels",
          "set tile_size or a larger image_size, or take the box out", warning=True, setting="small_box_pixels",
          check=RecordCheck("annotations", records.input_side, "min", key="bbox", context=records.tiles_that_help)),
    _rule("boxes", "box_duplicate", "no box is there twice, with the same image, category and numbers",
          "nothing: the copy is left out; or take it out", warning=True, is_spare=True,
          check=RecordCheck("annotations", records.box_copies, key="bbox",
                            context=records.first_of_copies)),
    _rule("boxes", "box_covers_image", "a box covers no more than this share of its image",
          "look whether it is an object or a label of the whole image", warning=True, setting="large_box_share",
          check=RecordCheck("annotations", records.cover, key="bbox")),
    _rule("boxes", "image_crowded", f"an image has no more than {MAX_DETECTIONS} boxes, of which a model finds no more",
          "cut it into several images; the others count as missed", warning=True,
          check=RecordCheck("images", records.boxes_of_image, limit=MAX_DETECTIONS, key="file_name",
                            context=records.count_of_boxes)),
    # Format: over all boxes of a split
    _rule("format", "format_coco", "boxes are no COCO [x, y, width, height] where corners are expected",
          "set bbox_format to coco, or write [xmin, ymin, xmax, ymax]", check=FormatCheck("coco")),
    _rule("format", "format_corners", "boxes are no corners where COCO's [x, y, width, height] is expected",
          "set bbox_format to corners", check=FormatCheck("corners")),
    _rule("format", "format_normalised", "boxes are in pixels, not in [0, 1]",
          "multiply x by the image's width and y by its height", check=FormatCheck("normalised")),
    _rule("format", "format_axes_swapped", "x comes before y, and width and height are not exchanged",
          "either the boxes are [ymin, xmin, ymax, xmax] or the images' width and height are swapped: compare one "
          "image with its record and swap what is wrong", check=FormatCheck("yxyx")),
    _rule("format", "format_ambiguous", "with bbox_format auto, the boxes can be read in exactly one way",
          "set bbox_format to corners or coco", check=FormatCheck("ambiguous")),
    # Images: the listing before the download, the rest after it
    _rule("images", "image_missing", "every image is there below images/",
          "put the file into images/ or take the image and its boxes out",
          check=RecordCheck("images", records.listed, "min", 1, key="file_name"), spoils_image=True),
    _rule("images", "image_empty", "no image file is empty", "upload the file again",
          check=RecordCheck("images", records.listed_bytes, "min", 1, key="file_name"), spoils_image=True),
    _rule("images", "image_undecodable", "every image decodes as a whole", "upload the file again or take it out",
          spoils_image=True),
    _rule("images", "image_size_mismatch", "width and height are those of the file",
          "correct width and height in the annotations, and the boxes with them",
          check=PictureCheck(pictures.another_size)),
    _rule("images", "image_orientation", "no EXIF flag turns the picture against its boxes",
          "save the image upright and without the flag, or declare the size the boxes were drawn on", warning=True,
          check=PictureCheck(pictures.turned_against_boxes)),
    _rule("images", "image_grayscale", "images have three colour channels; gray is repeated",
          "nothing, unless colour matters", warning=True, check=PictureCheck(pictures.gray)),
    _rule("images", "image_rgba", "images have no transparency; it is cut off", "save the image as RGB", warning=True,
          check=PictureCheck(pictures.transparent)),
    _rule("images", "image_cmyk", "images are RGB, not CMYK, whose colours change in the conversion",
          "save the image as RGB", warning=True, check=PictureCheck(pictures.cmyk)),
    _rule("images", "image_16bit", "images have 8 bits a channel; of 16 the upper ones are kept",
          "scale the image to 8 bits yourself", warning=True, check=PictureCheck(pictures.deep)),
    _rule("images", "image_animated", "an image is one picture; of several the first is taken",
          "save the picture that the boxes belong to", warning=True, check=PictureCheck(pictures.animated)),
    _rule("images", "image_too_large", "an image has no more than this many million pixels", "scale or tile it",
          setting="max_megapixels", spoils_image=True),
    _rule("images", "image_extension_mismatch", "a file's extension says what its content is", "rename the file",
          warning=True, check=PictureCheck(pictures.another_extension)),
    _rule("images", "duplicate_image_within_split", "no two files of a split have the same bytes",
          "take one out, and join their boxes", warning=True, check=TwinCheck(pictures.in_same_split)),
    _rule("images", "duplicate_image_across_splits", "no file of one split is in another: metrics would be too good",
          "take it out of one of the splits", check=TwinCheck(pictures.in_earlier_split)),
    # Classes
    _rule("classes", "categories_missing", "the file has categories; without, classes are named class_<id>",
          "add categories with id and name", warning=True, check=FileCheck(files.unnamed_classes)),
    _rule("classes", "category_name_not_unique", "a name belongs to one category", "join the categories or rename one",
          check=RecordCheck("categories", records.name_copies, key="name",
                            context=records.who_has_the_name)),
    _rule("classes", "category_without_boxes", "every category has a box somewhere",
          "take the placeholder out of categories", warning=True, check=ClassCheck(classes.boxes_anywhere, "min", 1)),
    _rule("classes", "class_too_few_boxes", "a class has at least this many boxes in training",
          "label more of it, or take the class out", setting="min_boxes_per_class",
          check=ClassCheck(classes.training_boxes, "min")),
    _rule("classes", "class_not_in_training", "a class of validation or test has boxes in training",
          "add training images of it, take its boxes out, or keep what a parent knows of it: on_class_change=keep",
          check=ClassCheck(classes.boxes_to_learn_from, "above", 0, context=classes.ids_in_training)),
    _rule("classes", "class_names_differ", "a category id has the same name in all splits", "make the names agree",
          check=ClassCheck(classes.different_names, "max", 1, context=classes.name_in_training)),
    _rule("classes", "class_imbalance", "in training, no class has more than this many times the boxes of another",
          "label more of the rare class, or set repeat_threshold", warning=True, setting="max_imbalance",
          check=ClassCheck(classes.times_fewer, context=classes.most_frequent)),
    _rule("classes", "class_hard_to_tell", "a class that its size does not tell from another one is large enough for "
          "its marks: in training, half of its boxes have no side below this many pixels at the model's input size",
          "set a larger image_size or a tile_size; look whether a person tells the classes apart in an "
          "image of that size", warning=True, setting="look_alike_pixels",
          check=ClassCheck(classes.telling_side, "min", context=classes.larger_input)),
)  # fmt: skip

RULES: Mapping[str, Rule] = {rule.name: rule for rule in _ALL}

# The rules that the reading and dropping code finds itself.
FILE_UNREADABLE = RULES["file_unreadable"]
TOO_MUCH_DROPPED = RULES["too_much_dropped"]
TOO_FEW_IMAGES = RULES["too_few_images"]
IMAGE_MISSING = RULES["image_missing"]
IMAGE_UNDECODABLE = RULES["image_undecodable"]
IMAGE_TOO_LARGE = RULES["image_too_large"]


def rules_of(config: ValidationConfig) -> dict[str, Rule]:
    """The rules of a run: with its severities and thresholds, and without those that it turned off.

    Raises:
        UsageError: `severities` names a rule that does not exist.
    """
    if unknown := sorted(set(config.severities) - set(RULES)):
        near = did_you_mean(unknown[0], RULES)
        raise UsageError(f"severities: {', '.join(unknown)} is not a rule{near}; valid are {', '.join(RULES)}")
    chosen = {}
    for name, rule in RULES.items():
        severity = config.severities.get(name, rule.severity)
        if severity != "off":
            threshold = float(getattr(config, rule.setting)) if rule.setting else None
            chosen[name] = replace(rule, severity=severity, threshold=threshold)
    return chosen
