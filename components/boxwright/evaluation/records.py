"""The results of an evaluation as records: `metrics.json` and its parts. Loads no library that measures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, TypeAdapter, ValidationError

from boxwright.config import Fraction, Frozen
from boxwright.errors import DataError, shorten
from boxwright.evaluation.files import METRICS_FILE
from boxwright.storage import StoredRecord

_SHOWN_NAMES, _SHOWN_CONFUSIONS = 4, 8
_WORTH_TELLING = 0.1
# By name; None stands for "there is nothing to measure on".
Metrics = dict[str, int | float | None]


class CocoMetrics(Frozen):
    """Metrics of one class or, as means over the classes that have boxes, of all; all in [0, 1].

    None stands for "there is no such ground truth", where COCO's tools write -1: 0.0 means that there was something
    to find and nothing was found. Small is below 32 x 32 pixels of box area, large above 96 x 96. Files of early
    versions have AP, AP50 and boxes alone.

    Attributes:
        AP: mean over IoU 0.50 to 0.95 in steps of 0.05.
        AP50, AP75: at one IoU.
        AP_small, AP_medium, AP_large: over boxes of that size.
        AR1, AR10, AR100: recall with so many detections an image, mean over the same IoUs.
        VOC_AP50: area under the precision envelope at IoU 0.5, as Pascal VOC has it since 2010; where asked for.
        precision, recall, F1: at IoU 0.5, of the detections with a score of at least the model's threshold.
        boxes: ground-truth boxes, crowds left out.
        detections: all of them, whatever their score.
        kept: those with a score of at least the threshold; detections in crowds are not counted.
    """

    AP: float | None
    AP50: float | None
    AP75: float | None = None
    AP_small: float | None = None
    AP_medium: float | None = None
    AP_large: float | None = None
    AR1: float | None = None
    AR10: float | None = None
    AR100: float | None = None
    VOC_AP50: float | None = None
    precision: float | None = None
    recall: float | None = None
    F1: float | None = None
    boxes: int
    detections: int = 0
    kept: int = 0


class Speed(Frozen):
    """The speed of a detector on the machine at hand, and its size.

    Attributes:
        latency_ms: median milliseconds of an image at batch 1, from encoded bytes to detections.
        latency_p95_ms: 95 of 100 take no longer.
        images_per_second: over the whole split at `batch_size`; None where the split is one batch.
        batch_size: images at a time.
        size_bytes: of the weights on disk.
        device: what it ran on, CPU or GPU.
        network_ms: median milliseconds of an image once it is the network's input, suppression included; files of
            early versions have none.
    """

    latency_ms: float
    latency_p95_ms: float
    images_per_second: float | None
    batch_size: int
    size_bytes: int
    device: str
    network_ms: float | None = None


class Difference(Frozen):
    """One metric of both models.

    Attributes:
        champion, candidate: their values; None where the split has no such ground truth.
        difference: candidate minus champion.
        low, high: the 95 % interval of the difference, by a paired bootstrap over images.
        better: share of the samples in which the candidate was ahead.
    """

    champion: float | None
    candidate: float | None
    difference: float | None
    low: float | None
    high: float | None
    better: float | None


class Comparison(Frozen):
    """Two models on the same images at the same parameters.

    Attributes:
        champion: what the candidate is compared with, as a reference or URI.
        metrics: AP, AP50, AP75 and AR100.
        per_class: AP of each class of both, and their difference.
        samples: bootstrap samples drawn.
        images: of the split, drawn with replacement in each sample.
    """

    champion: str
    metrics: dict[str, Difference]
    per_class: dict[str, Difference]
    samples: int
    images: int


class BeatenChampion(Frozen):
    """The model to beat, as it was measured.

    Attributes:
        reference: how it is called.
        problem: why it was not measured; the rest is None then.
        metrics: see `EvaluationSummary`.
        threshold: its own.
        speed: its own.
    """

    reference: str
    problem: str | None = None
    metrics: Metrics | None = None
    threshold: float | None = None
    speed: Speed | None = None


class ToldApart(Frozen):
    """One class among the boxes that the model places right.

    Attributes:
        verdict: `told apart`; `guessed`: no better than by chance; `too few boxes` to say.
        boxes: of the class, that are placed right.
        names: what they are called, most frequent first, with the number of them.
        rivals: the classes that it is told apart from least; empty for all others. What follows is about the boxes of
            these and of the class itself that have one of these names.
        right: the share of its boxes that have its name; None where there is nothing to compare with.
        by_lot: the share that would have it if names were guessed.
        known: the share of its boxes whose class the model knows: 0 by chance, 1 where names are always right.
        low, high: the interval of `known`: 95 % sure for all classes together (Bonferroni).
        p_value: chance of as many right names by chance (one-sided; Fisher's exact test against rivals, else binomial).
    """

    verdict: Literal["told apart", "guessed", "too few boxes"]
    boxes: int
    names: dict[str, int]
    rivals: list[str] = []
    right: Fraction | None = None
    by_lot: Fraction | None = None
    known: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: Fraction | None = None

    def evidence(self) -> str:
        """The evidence for the verdict, in words."""
        names = ", ".join(f"{count} {called}" for called, count in [*self.names.items()][:_SHOWN_NAMES])
        if self.right is None or self.by_lot is None:
            return f"its {self.boxes:,} boxes that are placed right are called: {names}"
        rivals = " and ".join(self.rivals) or "all others"
        return (
            f"its {self.boxes:,} boxes that are placed right are called: {names}; against {rivals}, {self.right:.0%} "
            f"of them have the name and by chance {self.by_lot:.0%} would (p = {self.p_value:.2g}), so that the class "
            f"of {max(self.low or 0, 0):.0%} to {max(self.high or 0, 0):.0%} of them is known"
        )


class Confusion(Frozen):
    """Boxes of one class that go by the name of another.

    Attributes:
        true: the class.
        called: the other.
        share: of the boxes of the class that are placed right.
        count: of them.
    """

    true: str
    called: str
    share: Fraction
    count: int

    def __str__(self) -> str:
        return f"{self.true} called {self.called} {self.share:.0%} ({self.count:,})"


def worst_confusions(told_apart: Mapping[str, ToldApart]) -> list[Confusion]:
    """The confusions that people are told of: guessed classes first, then those that a tenth of the boxes suffers."""
    found = [
        (one.verdict != "guessed", Confusion(true=name, called=called, share=count / one.boxes, count=count))
        for name, one in told_apart.items()
        for called, count in one.names.items()
        if called != name
    ]
    told = [one for one in found if not one[0] or one[1].share >= _WORTH_TELLING]
    told.sort(key=lambda one: (one[0], -one[1].share, -one[1].count))
    return [confusion for _, confusion in told[:_SHOWN_CONFUSIONS]]


class EvaluationSummary(StoredRecord):
    """The content of `metrics.json`; those of early versions have `split`, `metrics` and `per_class` alone.

    Attributes:
        split: the images measured on: `test` or `validation`.
        threshold: the score at which F1 is largest, kept with the model for serving; None where nothing is right.
        metrics: AP, AP50, ... (None where there is nothing to measure on), the number of images whose answers are no
            numbers, and the validation losses under the managed algorithm's names.
        per_class: the same metrics by class name.
        swapped: what the objects of each class are named whose names have changed places; empty in a sound model.
        errors: AP50 that each kind of error costs, by TIDE's name for it.
        speed: on the machine that evaluated.
        champion: the model to beat; None where there is none.
        comparison: with the champion; None where it was not measured.
        told_apart: whether each class is told from the others better than by chance, by class name; empty where there
            is one class, or nothing is placed right.
    """

    FILE = METRICS_FILE
    ADVICE = "evaluate the model again"

    split: str
    threshold: Fraction | None = None
    metrics: Metrics
    per_class: dict[str, CocoMetrics] = {}
    swapped: dict[str, str] = {}
    errors: dict[str, float] = {}
    speed: Speed | None = None
    champion: BeatenChampion | None = None
    comparison: Comparison | None = None
    told_apart: dict[str, ToldApart] = {}


class GalleryEntry(Frozen):
    """One image of `gallery.json`, which lists those of the report in its order.

    Attributes:
        picture: number of its picture, ground truth beside predictions.
        file: file name of the image.
        caption: its counts in words.
        galleries: names of the galleries that show it.
    """

    picture: int = Field(ge=0)
    file: str = ""
    caption: str = ""
    galleries: tuple[str, ...] = ()


_GALLERY = TypeAdapter(list[GalleryEntry])


def parse_gallery(data: bytes, name: str) -> list[GalleryEntry]:
    """Reads the content of `gallery.json`.

    Args:
        data: the content.
        name: what to call the file in the error.

    Raises:
        DataError: it is not a gallery.
    """
    try:
        return _GALLERY.validate_python(json.loads(data), extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        problem = f"{shorten('.'.join(str(part) for part in first['loc']))}: {first['msg']}"
    except (ValueError, RecursionError) as error:
        problem = f"it is no JSON ({type(error).__name__})"
    raise DataError(f"{name} is not a gallery: {problem}; evaluate the model again")
