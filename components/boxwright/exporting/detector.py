"""An exported network with what comes before and after it: an image in, detections out, without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boxwright.exporting.facts import ExportFacts
from boxwright.exporting.pixels import fit
from boxwright.exporting.runtimes import Arrays, open_runtime
from boxwright.exporting.selecting import cut, select

if TYPE_CHECKING:
    from PIL import Image


class ExportedDetector:
    """An export in memory.

    Args:
        folder: of the export.
        threads: that compute; 0 for one a core.

    Raises:
        DataError, UsageError: it cannot be loaded, or its runtime is not installed.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.facts = ExportFacts.read(folder)
        self._run = open_runtime(folder, self.facts, threads)

    def detect(self, image: Image.Image) -> Arrays:
        """Detections in an RGB image, as `boxwright.model.Detector.detect` names them, without the batch's axis."""
        pixels, extent = self.fit(image)
        return self.choose(self.run(pixels), extent)

    def fit(self, image: Image.Image) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """The network's input `(1, size, size, 3)`, and the share of it that the image covers."""
        pixels, extent = fit(image, self.facts.input)
        return pixels[None], extent

    def run(self, pixels: NDArray[Any]) -> Arrays:
        """The network's outputs by name."""
        return self._run(pixels)

    def choose(self, answer: Arrays, extent: NDArray[np.float32]) -> Arrays:
        """The detections among the outputs of `run`, in shares of the image."""
        if self.facts.outputs == "detections":
            found = {name: value[0] for name, value in answer.items()}
            return found | {"detection_boxes": cut(found["detection_boxes"], extent)}
        chosen = select(answer["boxes"][0], answer["scores"][0], extent, self.facts.choice)
        count, limit = len(chosen.scores), self.facts.choice.max_detections
        return {
            "detection_boxes": np.pad(chosen.boxes, ((0, limit - count), (0, 0))),
            "detection_scores": np.pad(chosen.scores, (0, limit - count)),
            "detection_classes": np.pad(chosen.classes + 1, (0, limit - count)).astype(np.float32),
            "num_detections": np.array(count, np.int32),
        }
