"""A predictor as the evaluation asks a model: for one that is not built from the catalogue."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from boxwright.errors import DataError
from boxwright.evaluation import Predictions, Speed, coco_results, encoded_images
from boxwright.serving.engine.picture import Picture
from boxwright.serving.engine.predictor import Detections, Predictor


class PredictorAnswers:
    """See `boxwright.evaluation.Answering`.

    Args:
        predictor: the model; images go through it one by one.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    @property
    def classes(self) -> tuple[str, ...]:
        """See `Answering`."""
        return self._predictor.info.classes

    def __call__(self, shards: Sequence[Path], category_ids: Sequence[int | None]) -> tuple[Predictions, Speed]:
        """See `Answering`.

        Raises:
            DataError: it refuses an image, or answers a class that it has no name for.
        """
        results: list[dict[str, Any]] = []
        ids, times, broken = [], [], 0
        for image_id, encoded, (height, width) in encoded_images(shards):
            started = time.perf_counter()
            (found,) = self._predictor.predict([Picture(encoded, width, height)])
            times.append(1000 * (time.perf_counter() - started))
            if not isinstance(found, Detections):
                raise DataError(f"image {image_id}: {found}")
            self._check_classes(found, image_id)
            broken += not (np.isfinite(found.boxes).all() and np.isfinite(found.scores).all())
            results += coco_results(found.raw, image_id, (height, width), category_ids)
            ids.append(image_id)
        seconds = sum(times[1:]) / 1000  # the first one warms
        speed = (len(times) - 1) / seconds if seconds else None
        return Predictions(results, len(ids), broken, speed, 1, tuple(ids)), self._speed(times, speed)

    def _check_classes(self, found: Detections, image_id: int) -> None:
        if found.classes.size and not 0 <= found.classes.min() <= found.classes.max() < len(self.classes):
            wrong = next(number for number in found.classes.tolist() if not 0 <= number < len(self.classes))
            raise DataError(
                f"{self._predictor.info.source.reference}: on image {image_id} it answers class {wrong + 1} of "
                f"{len(self.classes)} in its labels; the file of labels is that of another model"
            )

    def _speed(self, times: list[float], images_per_second: float | None) -> Speed:
        return Speed(
            latency_ms=statistics.median(times),
            latency_p95_ms=float(np.percentile(times, 95)),
            images_per_second=images_per_second,
            batch_size=1,
            size_bytes=self._predictor.info.size_bytes,
            device="CPU",
        )
