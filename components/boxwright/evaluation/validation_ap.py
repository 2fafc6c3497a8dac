"""AP on the validation images while a model is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from boxwright.dataset.annotations import load_annotations
from boxwright.dataset.examples import ExamplesSummary


def validation_ap(examples_dir: Path) -> Callable[[Any], dict[str, float]]:
    """A function that measures a detector on the validation images.

    Args:
        examples_dir: folder of `build_examples`.

    Returns:
        It takes a `Detector` and returns `AP` and `AP50` in [0, 1]; nothing where the images have no boxes.
    """
    from boxwright.evaluation.metrics import measure
    from boxwright.evaluation.predict import predict_split

    folder = examples_dir / "validation"
    annotations = load_annotations(folder / "annotations.json")
    category_ids = ExamplesSummary.read(examples_dir).category_ids
    shards = sorted(folder.glob("examples-*.tfrecord"))

    def of(detector: Any) -> dict[str, float]:
        measured = measure(annotations, predict_split(detector, shards, category_ids).detections)
        if measured.AP is None or measured.AP50 is None:
            return {}
        return {"AP": measured.AP, "AP50": measured.AP50}

    return of
