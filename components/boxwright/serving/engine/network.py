"""The networks that a predictor runs: encoded images in, a detector's raw outputs out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from boxwright.errors import DataError
from boxwright.exporting import ExportedDetector, read_image
from boxwright.packaging import OUTPUTS, serving_function

Outputs = dict[str, npt.NDArray[Any]]


class NetworkError(DataError):
    """A network did not answer a batch; one of its images may be the reason."""


class Network(Protocol):
    """A model in memory, wherever it runs."""

    def __call__(self, encoded: Sequence[bytes]) -> Outputs:
        """The outputs of `serving_function` for a batch of JPEGs and PNGs.

        Raises:
            NetworkError: an image of the batch cannot be decoded, or the network failed.
        """

    def why_undecodable(self, encoded: bytes) -> str | None:
        """The reason why it cannot decode an image, in a few words; None where it can."""


class RebuiltNetwork:
    """A detector of the catalogue with the weights of an archive, which are numbers.

    Args:
        folder: an unpacked archive; it may go away afterwards.

    Raises:
        DataError: its card or its weights are missing, or are not those of a model in the catalogue.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        from boxwright.model import load_detector

        detector, _ = load_detector(folder)
        self._tf = tf
        self._run = serving_function(detector)

    def __call__(self, encoded: Sequence[bytes]) -> Outputs:
        """See `Network`."""
        try:
            found = self._run(self._tf.constant(list(encoded)))
            return {name: value.numpy() for name, value in found.items()}
        except self._tf.errors.InvalidArgumentError as error:
            raise NetworkError(first_line(error)) from error

    def why_undecodable(self, encoded: bytes) -> str | None:
        """See `Network`."""
        return why_tensorflow_cannot_decode(encoded)


class ExportedNetwork:
    """A network that was exported to a format that runs without TensorFlow.

    Args:
        folder: of the export.
        threads: that compute; 0 for one a core.

    Raises:
        DataError, UsageError: it cannot be loaded, or its runtime is not installed.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self._detector = ExportedDetector(folder, threads)

    def __call__(self, encoded: Sequence[bytes]) -> Outputs:
        """See `Network`. Images go through the network one by one, each on all threads."""
        try:
            rows = [self._detector.detect(read_image(data)) for data in encoded]
        except (OSError, ValueError, SyntaxError, RuntimeError) as error:
            raise NetworkError(first_line(error)) from error
        return {name: np.stack([row[name] for row in rows]) for name in OUTPUTS}

    def why_undecodable(self, encoded: bytes) -> str | None:
        """See `Network`."""
        try:
            read_image(encoded)
        except (OSError, ValueError, SyntaxError) as error:
            return first_line(error)
        return None


def why_tensorflow_cannot_decode(encoded: bytes) -> str | None:
    """See `Network.why_undecodable`: the decoder's own words, without the operation's name around them."""
    import tensorflow as tf

    from boxwright.training import decode_image

    try:
        decode_image(encoded)
    except tf.errors.InvalidArgumentError as error:
        return first_line(error).rpartition("}} ")[2].partition(" [Op:")[0].rstrip(". ")
    return None


def first_line(error: Exception) -> str:
    """An error's message in one line of at most 300 characters; of a graph's error, the line about the operation."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    node = next((place for place, line in enumerate(lines) if line.startswith("[[{{node")), 0)
    return (lines[max(0, node - 1)] if lines else type(error).__name__)[:300]
