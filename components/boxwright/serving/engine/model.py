"""The facts about a model in its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxwright.config import SAVED_MODEL
from boxwright.evaluation import METRICS_FILE, EvaluationSummary
from boxwright.exporting import FALLBACK_THRESHOLD
from boxwright.model import MODEL_FILE, WEIGHTS_FILE, load_card
from boxwright.packaging import labels_below, saved_model_below
from boxwright.registry import ModelSource


@dataclass(frozen=True)
class ModelInfo:
    """The facts about a model in its files.

    Attributes:
        source: where it came from.
        model_id: row of the catalogue; `saved_model` for one of another program.
        image_size: input height and width in pixels; None where a SavedModel resizes by itself.
        classes: names by 0-based class index.
        category_ids: the training dataset's id of each class.
        metrics: on its evaluation images; empty where the archive has none.
        threshold: least score of a box worth showing.
        threshold_origin: `metrics.json`, or `fallback` where that names none.
        size_bytes: of its weights, or of its SavedModel.
    """

    source: ModelSource
    model_id: str
    image_size: int | None
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    metrics: dict[str, Any]
    threshold: float
    threshold_origin: str
    size_bytes: int = 0


def read_info(source: ModelSource, folder: Path) -> ModelInfo:
    """The facts about a model in the files of an unpacked archive, of a run or of another program.

    Raises:
        DataError: `model.json` is not a model's, `metrics.json` is broken, or there is neither `model.json` nor labels.
    """
    if not (folder / MODEL_FILE).exists():
        return _read_foreign(source, folder)
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
        size_bytes=(folder / WEIGHTS_FILE).stat().st_size if (folder / WEIGHTS_FILE).is_file() else 0,
    )


def _read_foreign(source: ModelSource, folder: Path) -> ModelInfo:
    classes, program = labels_below(folder), saved_model_below(folder)
    return ModelInfo(
        source=source,
        model_id=SAVED_MODEL,
        image_size=None,
        classes=classes,
        category_ids=tuple(range(1, len(classes) + 1)),
        metrics={},
        threshold=FALLBACK_THRESHOLD,
        threshold_origin="fallback",
        size_bytes=sum(path.stat().st_size for path in program.rglob("*") if path.is_file()),
    )
