"""Runs a model on images: encoded ones in, detections out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright.errors import DataError
from boxwright.serving.engine.model import ModelInfo
from boxwright.serving.engine.network import Network, NetworkError, first_line
from boxwright.serving.engine.picture import Picture, RefusedImageError

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Detections:
    """The detections in one image, best first.

    Attributes:
        boxes: `(n, 4)`, `[ymin, xmin, ymax, xmax]` in [0, 1] of the image as a person sees it.
        scores: `(n,)`, falling.
        classes: `(n,)`, 0-based.
        raw: the model's own output for this image, by name, without the batch's dimension.
    """

    boxes: Floats
    scores: Floats
    classes: npt.NDArray[np.int64]
    raw: dict[str, npt.NDArray[Any]] = field(repr=False)

    def at_least(self, threshold: float) -> Detections:
        """The detections with a score of at least `threshold`."""
        return self.first(int(np.count_nonzero(self.scores >= threshold)))

    def first(self, count: int) -> Detections:
        """The best `count`."""
        return Detections(self.boxes[:count], self.scores[:count], self.classes[:count], self.raw)


class Predictor:
    """A model in memory; threads take turns.

    Args:
        network: that answers.
        info: what the model's files say.
    """

    def __init__(self, network: Network, info: ModelInfo) -> None:
        self.info = info
        self._network = network
        self._turn = threading.Lock()

    def predict(self, pictures: Sequence[Picture]) -> list[Detections | RefusedImageError]:
        """Detections on each picture, or why its pixels cannot be decoded; a bad one does not harm the others."""
        if not pictures:
            return []
        try:
            return list(self._detections(pictures))
        except NetworkError as error:
            refused = {i: why for i, picture in enumerate(pictures) if (why := self._refusal(picture))}
            if not refused:
                raise DataError(f"{self.info.source.reference}: the model failed: {first_line(error)}") from error
        good = iter(self.predict([picture for i, picture in enumerate(pictures) if i not in refused]))
        return [refused[i] if i in refused else next(good) for i in range(len(pictures))]

    def _refusal(self, picture: Picture) -> RefusedImageError | None:
        reason = self._network.why_undecodable(picture.encoded)
        told = f"the image cannot be read: broken or truncated: {reason}"
        return RefusedImageError("image_unreadable", told) if reason else None

    def _detections(self, pictures: Sequence[Picture]) -> list[Detections]:
        with self._turn:
            found = self._network([picture.encoded for picture in pictures])
        return [self._one({name: value[row] for name, value in found.items()}) for row in range(len(pictures))]

    def _one(self, raw: dict[str, npt.NDArray[Any]]) -> Detections:
        count = int(raw["num_detections"])
        scores = raw["detection_scores"][:count]
        # A model that somebody made elsewhere may have another order; equal ones keep theirs.
        order = np.argsort(-scores, kind="stable")
        # The model counts from 1, where 0 is background.
        classes = raw["detection_classes"][:count].astype(np.int64) - 1
        return Detections(raw["detection_boxes"][:count][order], scores[order], classes[order], raw)
