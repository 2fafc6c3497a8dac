"""What the files of a model say about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxwright.evaluation import METRICS_FILE, EvaluationSummary
from boxwright.exporting import FALLBACK_THRESHOLD
from boxwright.model import load_card
from boxwright.registry import ModelSource


@dataclass(frozen=True)
class ModelInfo:
    """The facts about a model in its files.

    Attributes:
        source: where it came from.
        model_id: row of the catalogue.
        image_size: input height and width in pixels.
        classes: names by 0-based class index.
        category_ids: the training dataset's id of each class.
        metrics: on its evaluation images; empty where the archive has none.
        threshold: least score of a box worth showing.
        threshold_origin: `metrics.json`, or `fallback` where that names none.
    """

    source: ModelSource
    model_id: str
    image_size: int
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    metrics: dict[str, Any]
    threshold: float
    threshold_origin: str


def read_info(source: ModelSource, folder: Path) -> ModelInfo:
    """The facts about a model in the files of an unpacked archive.

    Raises:
        DataError: `model.json` is missing or is not a model's; `metrics.json` is broken.
    """
    card = load_card(folder)
    measured = EvaluationSummary.read(folder) if (folder / METRICS_FILE).exists() else None
    threshold = measured.threshold if measured else None
    return ModelInfo(
        source=source,
        model_id=card.model_id,
        image_size=card.image_size,
        classes=card.classes,
        category_ids=card.category_ids,
        metrics=measured.metrics if measured else {},
        threshold=FALLBACK_THRESHOLD if threshold is None else threshold,
        threshold_origin="fallback" if threshold is None else METRICS_FILE,
    )
