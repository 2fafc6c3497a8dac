"""An exported network with what comes before and after it: an image in, detections out, without TensorFlow."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boxwright.exporting.facts import ExportFacts
from boxwright.exporting.pixels import fit
from boxwright.exporting.runtimes import Arrays, open_runtime
from boxwright.exporting.selecting import Selected, cut, select
from boxwright.exporting.tiles import merge
from boxwright.images import windows

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Look:
    """One look at an image.

    Attributes:
        found: the detections.
        is_finite: whether the network answers in numbers.
        network_ms: milliseconds in the network alone.
    """

    found: Arrays
    is_finite: bool
    network_ms: float


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
        """Detections in an RGB image, as `boxwright.model.look` names them."""
        return self.look(image).found

    def look(self, image: Image.Image) -> Look:
        """Detections in an RGB image, through tiles where the model has such, and what they took."""
        places = windows(image.height, image.width, self.facts.tiling)
        seen: list[Selected] = []
        is_finite, seconds = True, 0.0
        for ymin, xmin, ymax, xmax in places.tolist():
            whole = len(places) == 1
            pixels, extent = fit(image if whole else image.crop((xmin, ymin, xmax, ymax)), self.facts.input)
            start = time.perf_counter()
            answer = self._run(pixels[None])
            seconds += time.perf_counter() - start
            is_finite &= all(bool(np.isfinite(values).all()) for values in answer.values())
            seen.append(self._chosen(answer, extent))
        chosen, limit = seen[0], self.facts.choice.max_detections
        if len(seen) > 1:
            chosen = merge(seen, places, (image.height, image.width), self.facts.choice.nms != "agnostic", limit)
        return Look(_padded(chosen, limit), is_finite, 1000 * seconds)

    def _chosen(self, answer: Arrays, extent: NDArray[np.float32]) -> Selected:
        """The detections among the network's outputs, in shares of what it looked at."""
        if self.facts.outputs == "candidates":
            return select(answer["boxes"][0], answer["scores"][0], extent, self.facts.choice)
        count = int(answer["num_detections"][0])
        boxes, scores, classes = (answer[f"detection_{name}"][0][:count] for name in ("boxes", "scores", "classes"))
        return Selected(cut(boxes, extent), scores, classes.astype(np.intp) - 1)


def _padded(chosen: Selected, limit: int) -> Arrays:
    count = len(chosen.scores)
    return {
        "detection_boxes": np.pad(chosen.boxes, ((0, limit - count), (0, 0))),
        "detection_scores": np.pad(chosen.scores, (0, limit - count)),
        "detection_classes": np.pad(chosen.classes + 1, (0, limit - count)).astype(np.float32),
        "num_detections": np.array(count, np.int32),
    }
