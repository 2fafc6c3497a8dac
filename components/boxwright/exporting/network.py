"""The exported part of a detector: one function from pixels to candidates, or to detections."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from boxwright.exporting.facts import CANDIDATES, INPUT, Choice, Fitting, Outputs
from boxwright.model import Detector, ModelCard, load_detector
from boxwright.packaging import OUTPUTS

# Kinds of suppression that ONNX has an operator for, or that need none.
_PLAIN = ("per_class", "none")


class ExportNetwork:
    """A detector, rebuilt from the catalogue, as a function with a plain signature.

    Args:
        folder: of a trained detector: `model.json` and weights.

    Attributes:
        card: of the model.
        fitting: how an image becomes the input.
        choice: how detections are chosen from candidates.
    """

    def __init__(self, folder: Path) -> None:
        detector, card = load_detector(folder)
        self.detector: Detector = detector
        self.card: ModelCard = card
        resizing = detector.resizing
        self.fitting = Fitting(
            image_size=resizing.image_size,
            keep_aspect=resizing.keep_aspect,
            fill=resizing.fill,
            antialias=resizing.antialias,
        )
        self.choice = choice_of(detector)

    @property
    def is_plain(self) -> bool:
        """Whether suppression consists of operators that other formats have.

        The zoo's models select a second time where the first selection leaves little, which is a branch.
        """
        return self.choice.nms in _PLAIN and not self.choice.needs_area

    def function(self, outputs: Outputs = "candidates") -> Any:
        """The `tf.function` to convert: `image`, uint8 `(1, size, size, 3)`, to a dictionary of `outputs`."""
        side, detector = self.fitting.image_size, self.detector

        @tf.function(input_signature=[tf.TensorSpec((1, side, side, 3), tf.uint8, name=INPUT)], autograph=False)
        def run(image: Any) -> dict[str, Any]:
            raw = detector(tf.cast(image, tf.float32), training=False)
            if outputs == "candidates":
                found = dict(zip(CANDIDATES, detector.candidates(raw), strict=True))
            else:
                found = detector.decode(raw)
                found = {name: found[name] for name in OUTPUTS}
            # Named, as converters take the names of tensors.
            return {name: tf.identity(value, name=name) for name, value in found.items()}

        return run

    def with_constants(self, outputs: Outputs = "candidates") -> Any:
        """The same `tf.function` without variables and calls of other functions, as converters want it.

        LiteRT's leaves out the values of a Keras 3 model's variables without a word, so that its file answers NaN;
        tf2onnx leaves calls as they are that carry a gradient of their own.
        """
        function = self.function(outputs)
        concrete = function.get_concrete_function()
        frozen = convert_variables_to_constants_v2(concrete)
        # As TensorFlow flattens a dictionary.
        names = sorted(concrete.structured_outputs)

        @tf.function(input_signature=function.input_signature, autograph=False)
        def run(image: Any) -> dict[str, Any]:
            return {name: tf.identity(value, name=name) for name, value in zip(names, frozen(image), strict=True)}

        return run


def choice_of(detector: Detector) -> Choice:
    """A detector's selection of detections from candidates."""
    return Choice(**dataclasses.asdict(detector.selection))
