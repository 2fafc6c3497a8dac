"""What a predictor runs: encoded images in, a detector's raw outputs out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from boxwright.errors import DataError
from boxwright.packaging import serving_function

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


def first_line(error: Exception) -> str:
    """What an error says, in one line of at most 300 characters; of a graph's error the line about the operation."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    node = next((place for place, line in enumerate(lines) if line.startswith("[[{{node")), 0)
    return (lines[max(0, node - 1)] if lines else type(error).__name__)[:300]
