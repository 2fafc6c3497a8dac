"""An exported network with what comes before and after it: an image in, detections out, without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from boxwright.errors import DataError
from boxwright.exporting.facts import ExportFacts
from boxwright.exporting.pixels import fit
from boxwright.exporting.runtimes import Arrays, open_runtime
from boxwright.exporting.selecting import select

if TYPE_CHECKING:
    from PIL import Image


class ExportedDetector:
    """An export in memory.

    Args:
        folder: of the export, of a format without suppression.
        threads: that compute; 0 for one a core.

    Raises:
        DataError, UsageError: it cannot be loaded, or its runtime is not installed.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.facts = ExportFacts.read(folder)
        if self.facts.outputs != "candidates":
            raise DataError(f"{folder}: {self.facts.format} with suppression in it is for other programs")
        self._run = open_runtime(folder, self.facts, threads)

    def detect(self, image: Image.Image) -> Arrays:
        """Detections in an RGB image, as `boxwright.model.Detector.detect` names them, without the batch's axis."""
        pixels, extent = fit(image, self.facts.input)
        answer = self._run(pixels[None])
        found = select(answer["boxes"][0], answer["scores"][0], extent, self.facts.choice)
        count, limit = len(found.scores), self.facts.choice.max_detections
        return {
            "detection_boxes": np.pad(found.boxes, ((0, limit - count), (0, 0))),
            "detection_scores": np.pad(found.scores, (0, limit - count)),
            "detection_classes": np.pad(found.classes + 1, (0, limit - count)).astype(np.float32),
            "num_detections": np.array(count, np.int32),
        }
