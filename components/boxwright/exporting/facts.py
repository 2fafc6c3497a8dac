"""`metadata.json`: all that a program needs to know to run an exported network."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from boxwright.config import Frozen
from boxwright.evaluation import METRICS_FILE, EvaluationSummary
from boxwright.images import Tiling
from boxwright.storage import StoredRecord

METADATA_FILE = "metadata.json"
INPUT = "image"
# The outputs of a network without suppression; with it, they are those of the SavedModel.
CANDIDATES = ("boxes", "scores")
# Where a model has no threshold of its own: the score from which the evaluation's pictures show a box.
FALLBACK_THRESHOLD = 0.3
Outputs = Literal["candidates", "detections"]


class Fitting(Frozen):
    """The way from an image of any size to the network's input: uint8 RGB, square.

    Attributes:
        image_size: height and width of the input in pixels.
        keep_aspect: False stretches the image over the square; True scales its longer side to it, top left, and pads.
        fill: colour of the padding, RGB.
        antialias: whether a pixel is an area, and smaller images are smoothed (as Pillow's BILINEAR does it); else
            pixel 0 stays in place, and nothing is smoothed.
    """

    image_size: int = Field(gt=0)
    keep_aspect: bool
    fill: tuple[float, float, float]
    antialias: bool


class Choice(Frozen):
    """The selection of detections from candidates; see `boxwright.model.postprocess.Selection`.

    Attributes:
        nms: `per_class`, `agnostic`, `soft`, or `none`.
        iou_threshold: overlap above which the weaker box goes.
        score_threshold: a detection has more.
        candidates: number of best places that compete; None for all.
        needs_area: whether a box that lies outside the image gives way to the next one.
        max_detections: in an image.
    """

    nms: str
    iou_threshold: float
    score_threshold: float
    candidates: int | None
    needs_area: bool
    max_detections: int = Field(gt=0)


class Differences(Frozen):
    """The written file's answers beside those of the network that it was made from.

    Attributes:
        pictures: number of images that both looked at.
        boxes: largest difference of a side, in shares of the input, of places whose score counts.
        scores: largest difference of a score.
        tolerance: of both.
    """

    pictures: int
    boxes: float
    scores: float
    tolerance: float


class ExportFacts(StoredRecord):
    """The content of `metadata.json`.

    Attributes:
        format: name of the format.
        precision: of the weights.
        file: that the runtime opens.
        model_id: row of Boxwright's catalogue.
        reference: the model, as the user named it.
        weights: SHA-256 of the file of weights that it was made from.
        classes: names by 0-based class index.
        category_ids: the training dataset's id of each class.
        threshold: least score of a box worth showing.
        input: how an image becomes the input `image`, uint8 `(1, size, size, 3)`, RGB.
        tiling: the tiles that go through the network beside the whole image, each as if it were an image; None for the
            whole alone.
        outputs: `candidates`: `boxes` `(1, n, 4)` and `scores` `(1, n, classes)`, of which `choice` is to be made;
            `detections`: `detection_boxes` `(1, 100, 4)`, `detection_scores`, `detection_classes` `(1, 100)` from 1,
            and `num_detections` `(1,)`, best first.
        box_order: of the numbers of a box, in shares of the square input.
        choice: how detections are, or were, chosen.
        in_floats: in `int8`, the convolutions on the longest way to the outputs that compute in floats.
        differences: of the check after it was written.
        code_version: of Boxwright.
    """

    FILE = METADATA_FILE
    ADVICE = "export the model again"

    format: str
    precision: str
    file: str
    model_id: str
    reference: str
    weights: str
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    threshold: float
    input: Fitting
    tiling: Tiling | None = None
    outputs: Outputs
    box_order: tuple[str, ...] = ("ymin", "xmin", "ymax", "xmax")
    choice: Choice
    in_floats: int | None = None
    differences: Differences
    code_version: str


def threshold_of(folder: Path) -> float:
    """The least score worth showing of the model in a folder."""
    measured = EvaluationSummary.read(folder).threshold if (folder / METRICS_FILE).exists() else None
    return FALLBACK_THRESHOLD if measured is None else measured
