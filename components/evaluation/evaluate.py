"""Measures a trained detector on the test images (else the validation images) and shows what it finds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.dataset.annotations import load_annotations
from components.evaluation.files import CURVES_PICTURE, DETECTIONS_FILE, METRICS_FILE, PREDICTIONS_PICTURE
from components.evaluation.metrics import measure
from components.evaluation.pictures import draw_learning_curves, draw_predictions
from components.model.store import load_detector
from components.storage import write_json

PICTURED_IMAGES = 12
PICTURE_THRESHOLD = 0.3


@dataclass(frozen=True)
class EvaluationSummary:
    """What was measured.

    Attributes:
        split: the images measured on: `test` or `validation`.
        metrics: AP, AP50, ... (None where there is nothing to measure on), and the two validation losses under the
            managed algorithm's names.
        per_class: AP, AP50 and the number of boxes by class name.
    """

    split: str
    metrics: dict[str, float | None]
    per_class: dict[str, Any]


def evaluate(examples_dir: Path, model_dir: Path, out_dir: Path) -> EvaluationSummary:
    """Predicts on the evaluation split and computes COCO metrics.

    Args:
        examples_dir: folder of `build_examples`.
        model_dir: folder of `fine_tune`.
        out_dir: receives `detections.json`, two pictures and, last, `metrics.json`.
    """
    from components.evaluation.predict import first_images, predict_split

    splits = json.loads((examples_dir / "examples.json").read_text())["splits"]
    split = "test" if "test" in splits else "validation"
    annotations = load_annotations(examples_dir / split / "annotations.json")
    shards = sorted((examples_dir / split).glob("examples-*.tfrecord"))
    detector, card = load_detector(model_dir)

    detections = predict_split(detector, shards, card.category_ids)
    write_json(out_dir / DETECTIONS_FILE, detections)
    measured = measure(annotations, detections).to_dict()

    names = {image.id: image.file_name for image in annotations.images}
    pictured = [(names[image_id], encoded) for image_id, encoded in first_images(shards, PICTURED_IMAGES)]
    draw_predictions(pictured, annotations, detections, out_dir / PREDICTIONS_PICTURE, PICTURE_THRESHOLD)
    history = json.loads((model_dir / "history.json").read_text())
    draw_learning_curves(history, out_dir / CURVES_PICTURE)

    per_class = measured.pop("per_class")
    summary = EvaluationSummary(split, measured | _losses(history), per_class)
    result = {"split": split, "metrics": summary.metrics, "per_class": per_class}
    write_json(out_dir / METRICS_FILE, result)
    return summary


def _losses(history: list[dict[str, float]]) -> dict[str, float]:
    """The losses of the last epoch, whose weights are kept, and of the first, which shows what the seed was worth."""
    names = ("val_loss", "val_localization_loss", "val_classification_loss")
    last = {name: history[-1][name] for name in names}
    return last | {"first_epoch_val_loss": history[0]["val_loss"]}
