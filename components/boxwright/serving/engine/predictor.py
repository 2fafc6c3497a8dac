"""Runs a SavedModel on images: plain TensorFlow, nothing of what it was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright.errors import DataError
from boxwright.packaging import SAVED_MODEL
from boxwright.serving.engine.graph import check_graph
from boxwright.serving.engine.model import ModelInfo
from boxwright.serving.engine.picture import Picture, RefusedImageError

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")

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
        """Those with a score of `threshold` or more."""
        return self.first(int(np.count_nonzero(self.scores >= threshold)))

    def first(self, count: int) -> Detections:
        """The best `count`."""
        return Detections(self.boxes[:count], self.scores[:count], self.classes[:count], self.raw)


class Predictor:
    """A model in memory.

    Args:
        folder: an unpacked archive; it may go away afterwards.
        info: what its files say.

    Raises:
        DataError: `saved_model/` cannot be loaded, could touch files, or has not the signature of a detector.
    """

    def __init__(self, folder: Path, info: ModelInfo) -> None:
        import tensorflow as tf

        self.info = info
        self._tf = tf
        check_graph(folder / SAVED_MODEL)
        try:
            # Kept: its variables live as long as it does.
            self._module = tf.saved_model.load(str(folder / SAVED_MODEL))
            self._run = self._module.signatures["serving_default"]
            (self._input,) = self._run.structured_input_signature[1]
            missing = set(OUTPUTS) - set(self._run.structured_outputs)
        except Exception as error:  # TensorFlow raises whatever it runs into on files that are not whole
            reason = (str(error).strip().splitlines() or [""])[0]
            raise DataError(
                f"{info.source.reference}: {SAVED_MODEL}/ cannot be loaded ({type(error).__name__}: {reason[:200]}); "
                "package the model again"
            ) from None
        if missing:
            raise DataError(f"{info.source.reference}: the model has no output {', '.join(sorted(missing))}")

    def predict(self, pictures: Sequence[Picture]) -> list[Detections | RefusedImageError]:
        """Detections on each picture, or why its pixels cannot be decoded; a bad one does not harm the others."""
        if not pictures:
            return []
        try:
            return list(self._detections(pictures))
        except self._tf.errors.InvalidArgumentError as error:
            refused = {i: why for i, picture in enumerate(pictures) if (why := self._undecodable(picture))}
            if not refused:
                raise DataError(f"{self.info.source.reference}: the model failed: {_first_line(error)}") from error
        good = iter(self.predict([picture for i, picture in enumerate(pictures) if i not in refused]))
        return [refused[i] if i in refused else next(good) for i in range(len(pictures))]

    def _detections(self, pictures: Sequence[Picture]) -> list[Detections]:
        encoded = self._tf.constant([picture.encoded for picture in pictures])
        found = {name: value.numpy() for name, value in self._run(**{self._input: encoded}).items()}
        return [self._one({name: value[row] for name, value in found.items()}) for row in range(len(pictures))]

    def _one(self, raw: dict[str, npt.NDArray[Any]]) -> Detections:
        count = int(raw["num_detections"])
        # The model counts from 1, where 0 is background.
        classes = raw["detection_classes"][:count].astype(np.int64) - 1
        return Detections(raw["detection_boxes"][:count], raw["detection_scores"][:count], classes, raw)

    def _undecodable(self, picture: Picture) -> RefusedImageError | None:
        try:
            self._tf.io.decode_image(picture.encoded, channels=3, expand_animations=False)
        except self._tf.errors.InvalidArgumentError as error:
            return RefusedImageError(
                "image_unreadable", f"the image cannot be read: broken or truncated: {_decoder_reason(error)}"
            )
        return None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _decoder_reason(error: Exception) -> str:
    """The decoder's own words, without the operation's name that TensorFlow puts around them."""
    return _first_line(error).rpartition("}} ")[2].partition(" [Op:")[0].rstrip(". ")
