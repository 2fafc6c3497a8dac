"""Weights of a zoo detector as the weights store keeps them: plain arrays by their keys in the original checkpoint."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from boxwright.errors import DataError
from boxwright.model import ClassWeights, ModelSpec
from boxwright.model.zoo.architecture import COCO_CLASSES, ZooArchitecture
from boxwright.model.zoo.checkpoint import Shapes, account, variables_by_key
from boxwright.model.zoo.layers import CheckpointObjects

ARRAYS_FILE = "weights.npz"
BOX_SCALES = "box_scales"


class Network(Protocol):
    """The part of a `ZooDetector` that the reader and the writer of weights need; see there."""

    spec: ModelSpec
    num_classes: int
    architecture: ZooArchitecture
    box_code: Any
    checkpoint_objects: CheckpointObjects
    unused_objects: CheckpointObjects

    def class_weights(self) -> list[ClassWeights]:
        """The variables of the top layer."""


def checkpoint_shapes(detector: Network) -> tuple[Shapes, Shapes]:
    """Shapes by key of the variables that the detector uses, and of those that are in its checkpoints only.

    Args:
        detector: with the zoo's own number of classes.
    """
    used, unused = (
        {key: tuple(variable.shape) for key, variable in variables_by_key(objects.layers).items()}
        for objects in (detector.checkpoint_objects, detector.unused_objects)
    )
    return used, unused


def write_arrays(path: Path, arrays: dict[str, NDArray[Any]], box_scales: tuple[float, ...]) -> None:
    """Writes arrays by key, and the scales of the box code that they were trained with."""
    named: dict[str, Any] = {BOX_SCALES: np.array(box_scales, np.float32), **arrays}
    np.savez(path, **named)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file that `write_arrays` wrote.

    Raises:
        DataError: when the file is not that.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path.name} is not a complete file of weights ({str(error).splitlines()[0]}); import the archive again"
        ) from None


def load_weights(detector: Network, folder: Path) -> None:
    """Puts the weights of a store's folder into a detector.

    Args:
        detector: of any number of classes; its class scores stay fresh unless it has the zoo's number.
        folder: holds `ARRAYS_FILE`.

    Raises:
        DataError: when they are another model's.
    """
    arrays = read_arrays(folder / ARRAYS_FILE)
    scales = arrays.pop(BOX_SCALES, None)
    variables = variables_by_key(detector.checkpoint_objects.layers)
    top = {id(weights.variable) for weights in detector.class_weights()}
    shapes = {
        key: _published_shape(detector, variable) if id(variable) in top else tuple(variable.shape)
        for key, variable in variables.items()
    }
    account(shapes, {key: value.shape for key, value in arrays.items()}, f"{ARRAYS_FILE} for {detector.spec.model_id}")
    if scales is None or scales.shape != tuple(detector.box_code.scales.shape):
        raise DataError(f"{ARRAYS_FILE} for {detector.spec.model_id}: expected {BOX_SCALES} with four values")
    detector.box_code.scales.assign(scales)
    for key, variable in variables.items():
        if id(variable) not in top or detector.num_classes == COCO_CLASSES:
            variable.assign(arrays[key])


def _published_shape(detector: Network, variable: Any) -> tuple[int, ...]:
    *axes, last = variable.shape
    background = detector.architecture.background
    return (*axes, last // (background + detector.num_classes) * (background + COCO_CLASSES))
