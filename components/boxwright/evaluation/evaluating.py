"""Measures a trained detector on the test images (else the validation images), beside the champion where there is one.

Leaves `metrics.json` with all numbers, `analysis.json` with what the report is drawn from, `detections.json` with every
detection as COCO results, `report.html` with its pictures, and the report's images as `gallery.json` and `gallery/`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from boxwright.config import EvaluationConfig, Gate
from boxwright.dataset.annotations import Annotations, load_annotations
from boxwright.dataset.examples import ExamplesSummary, shards_of
from boxwright.dataset.report import SplitBoxes
from boxwright.errors import DataError
from boxwright.evaluation.analysis import Analysis, analyse, swapped_classes
from boxwright.evaluation.answers import category_ids_of, classes_of_one_alone
from boxwright.evaluation.comparison import compare
from boxwright.evaluation.confusion import Names, names_of_boxes
from boxwright.evaluation.detections import Detections
from boxwright.evaluation.files import (
    ANALYSIS_FILE,
    CHAMPION_DETECTIONS_FILE,
    DETECTIONS_FILE,
    PREDICTIONS_PICTURE,
)
from boxwright.evaluation.gate import check_gate
from boxwright.evaluation.guessing import judge_classes
from boxwright.evaluation.metrics import Measurement
from boxwright.evaluation.records import BeatenChampion, EvaluationSummary, Metrics, Speed, worst_confusions
from boxwright.evaluation.report import (
    Background,
    draw_lookalikes,
    draw_pairs,
    draw_predictions,
    find_lookalikes,
    images_with,
    sample_images,
    worst_images,
    write_gallery,
    write_report,
)
from boxwright.model import WEIGHTS_FILE, load_detector
from boxwright.storage import write_json
from boxwright.training import Record, TrainingFacts, read_history

if TYPE_CHECKING:
    from boxwright.evaluation.predict import Predictions

log = logging.getLogger("boxwright.evaluation")

PICTURED_IMAGES = 12
# Where the model has no threshold of its own, nothing that it found is right.
PICTURE_THRESHOLD = 0.3
_LOSSES = ("val_loss", "val_localization_loss", "val_classification_loss")


@dataclass(frozen=True)
class Champion:
    """The model to beat.

    Attributes:
        reference: how it is called.
        folder: its `model.json` and weights; None where they cannot be had.
        problem: why not.
    """

    reference: str
    folder: Path | None
    problem: str | None = None


class Answering(Protocol):
    """Answers in place of a detector that is built from a model's files.

    Attributes:
        classes: names of those that it knows.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """See above."""

    def __call__(self, shards: Sequence[Path], category_ids: Sequence[int | None]) -> tuple[Predictions, Speed]:
        """Detections on the images of the shards, as of `predict_split`, and how long they took."""


@dataclass(frozen=True)
class _Answered:
    """One model on the split."""

    measurement: Measurement
    not_finite_images: int
    speed: Speed

    @property
    def metrics(self) -> Metrics:
        """Without those by class."""
        found = self.measurement.metrics.model_dump(exclude={"per_class", "threshold"})
        if found["VOC_AP50"] is None:
            del found["VOC_AP50"]
        return found | {"not_finite_images": self.not_finite_images}


def evaluate(
    examples_dir: Path,
    model_dir: Path,
    out_dir: Path,
    settings: EvaluationConfig | None = None,
    champion: Champion | None = None,
    gate: Gate | None = None,
    background: Background | None = None,
    answering: Answering | None = None,
) -> EvaluationSummary:
    """Predicts on the evaluation split with both models, measures, compares, and writes the report.

    Args:
        examples_dir: folder of `build_examples`.
        model_dir: folder of `fine_tune`, or of an unpacked archive, which has no history.
        out_dir: receives all files, `metrics.json` last.
        settings: what else is measured, and how much is shown.
        champion: the model to beat, measured on the same images.
        gate: for the report's verdict.
        background: what the report says of the run; the history and the data's boxes are added here.
        answering: what answers in place of the detector in `model_dir`, which is then not loaded.

    Raises:
        DataError: the model cannot be loaded, or knows none of the split's classes.
    """
    settings = settings or EvaluationConfig()  # type: ignore[call-arg]
    splits = ExamplesSummary.read(examples_dir).splits
    split = "test" if "test" in splits else "validation"
    annotations = load_annotations(examples_dir / split / "annotations.json")
    shards = shards_of(examples_dir, split)
    log.info("evaluating on %d %s images", len(annotations.images), split)

    answering = answering or _Built(model_dir)
    answered = _answer("the model", answering, annotations, shards, out_dir / DETECTIONS_FILE, settings.voc)
    beaten, described = answer_of_champion(champion, annotations, shards, out_dir, settings.voc)
    measurement = answered.measurement
    comparison = compare(beaten.measurement, measurement, described.reference) if beaten and described else None
    history, analysis, names = read_history(model_dir), analyse(measurement), names_of_boxes(measurement)
    write_json(out_dir / ANALYSIS_FILE, analysis.model_dump())
    summary = EvaluationSummary(
        split=split,
        threshold=measurement.threshold,
        metrics=answered.metrics | _losses(history, _final_epoch(model_dir)),
        per_class=measurement.metrics.per_class,
        swapped=swapped_classes(analysis),
        told_apart=judge_classes(analysis.classes, names.counts),
        errors={kind.name: kind.cost for kind in analysis.errors},
        speed=answered.speed,
        champion=described,
        comparison=comparison,
    )
    parts = {name: SplitBoxes.of_records(load_annotations(examples_dir / name / "annotations.json")) for name in splits}
    background = replace(background or Background(title=model_dir.name), history=history, splits=parts)
    _report(summary, measurement, analysis, names, shards, out_dir, settings, gate, background)
    summary.write(out_dir)
    return summary


class _Built:
    """A detector of the catalogue with the weights of a folder; see `Answering`."""

    def __init__(self, model_dir: Path) -> None:
        self._detector, self._card = load_detector(model_dir)
        self._weights = model_dir / WEIGHTS_FILE

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self._card.classes)

    def __call__(self, shards: Sequence[Path], category_ids: Sequence[int | None]) -> tuple[Predictions, Speed]:
        from boxwright.evaluation.predict import measure_speed, predict_split

        predictions = predict_split(self._detector, shards, category_ids)
        return predictions, measure_speed(self._detector, shards, predictions, self._weights)


def _answer(
    who: str, answering: Answering, annotations: Annotations, shards: Sequence[Path], results: Path, voc: bool
) -> _Answered:
    for said in classes_of_one_alone(answering.classes, annotations):
        log.warning("%s: %s", who, said)
    predictions, speed = answering(shards, category_ids_of(answering.classes, annotations))
    write_json(results, predictions.detections)
    found = Detections.of_results(annotations, predictions.detections)
    return _Answered(Measurement(annotations, found, voc), predictions.not_finite_images, speed)


def answer_of_champion(
    champion: Champion | None, annotations: Annotations, shards: Sequence[Path], out_dir: Path, voc: bool = False
) -> tuple[_Answered | None, BeatenChampion | None]:
    """The champion's detections and facts; a champion that cannot be loaded does not fail the evaluation."""
    if champion is None:
        return None, None
    described = BeatenChampion(reference=champion.reference, problem=champion.problem)
    if champion.folder is None:
        return None, described
    try:
        answering, who = _Built(champion.folder), f"the champion {champion.reference}"
        answered = _answer(who, answering, annotations, shards, out_dir / CHAMPION_DETECTIONS_FILE, voc)
    except DataError as error:
        log.warning("the champion %s is not measured: %s", champion.reference, error)
        return None, described.model_copy(update={"problem": str(error)})
    facts = {"metrics": answered.metrics, "threshold": answered.measurement.threshold, "speed": answered.speed}
    return answered, described.model_copy(update=facts)


def _final_epoch(model_dir: Path) -> int:
    return TrainingFacts.read(model_dir).final_epoch if (model_dir / TrainingFacts.FILE).exists() else -1


def _losses(history: list[Record], final_epoch: int) -> Metrics:
    """The losses of the epoch whose weights are kept, and of the first, which shows what the seed was worth."""
    if not history:
        return {}
    losses: Metrics = {name: history[final_epoch][name] for name in _LOSSES}
    return losses | {"first_epoch_val_loss": history[0]["val_loss"]}


def _report(
    summary: EvaluationSummary,
    measurement: Measurement,
    analysis: Analysis,
    names: Names,
    shards: Sequence[Path],
    out_dir: Path,
    settings: EvaluationConfig,
    gate: Gate | None,
    background: Background,
) -> None:
    from boxwright.evaluation.predict import first_images, images_of

    chosen = {
        "worst": worst_images(analysis, settings.worst_images),
        "sample": sample_images(measurement, settings.gallery_images),
    }
    pictured_pairs = list(dict.fromkeys([*chosen["worst"], *chosen["sample"]]))
    lookalikes = find_lookalikes(measurement, names, worst_confusions(summary.told_apart))
    encoded = images_of(shards, list(dict.fromkeys([*pictured_pairs, *images_with(measurement, lookalikes)])))
    pairs = draw_pairs(measurement, analysis, {image_id: encoded[image_id] for image_id in pictured_pairs})
    galleries = {name: [pairs[image_id] for image_id in ids] for name, ids in chosen.items()}
    write_gallery(out_dir, galleries)
    files = {image.id: image.file_name for image in measurement.annotations.images}
    pictured = [(files[image_id], data) for image_id, data in first_images(shards, PICTURED_IMAGES)]
    threshold = PICTURE_THRESHOLD if summary.threshold is None else summary.threshold
    detections = json.loads((out_dir / DETECTIONS_FILE).read_text())
    draw_predictions(pictured, measurement.annotations, detections, out_dir / PREDICTIONS_PICTURE, threshold)
    verdict = check_gate(summary, gate) if gate else None
    drawn = draw_lookalikes(measurement, lookalikes, encoded)
    write_report(out_dir, summary, analysis, galleries, background, verdict, drawn)
