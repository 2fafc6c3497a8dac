"""The Object Detection API's checkpoints: read by object-graph keys, every variable accounted for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from boxwright.errors import DataError

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
# What TensorFlow writes beside the model's variables.
_BOOKKEEPING = ("_CHECKPOINTABLE_OBJECT_GRAPH", f"save_counter{SUFFIX}")
_SHOWN = 5

Shapes = dict[str, tuple[int, ...]]


def variables_by_key(objects: dict[str, Any]) -> dict[str, Any]:
    """The variables of layers by their keys in the checkpoint, without `SUFFIX`.

    Args:
        objects: layers by object key, as `CheckpointObjects` has them.
    """
    return {f"{key}/{_name(layer, variable)}": variable for key, layer in objects.items() for variable in layer.weights}


def _name(layer: Any, variable: Any) -> str:
    # Keras 2 gave this one a name of its own.
    is_depthwise = type(layer).__name__ == "DepthwiseConv2D" and variable.name == "kernel"
    return "depthwise_kernel" if is_depthwise else str(variable.name)


def account(expected: Shapes, found: Shapes, where: str) -> None:
    """Holds what a model has against what a checkpoint has.

    Args:
        expected: shapes by key.
        found: the same of the checkpoint.
        where: names it in errors.

    Raises:
        DataError: naming the variables that are missing, left over, or of another shape.
    """
    missing = [key for key in expected if key not in found]
    over = [key for key in found if key not in expected]
    other = [
        f"{key} {list(found[key])} instead of {list(shape)}"
        for key, shape in expected.items()
        if key in found and tuple(found[key]) != tuple(shape)
    ]
    problems = [
        f"{len(keys)} {what}: {', '.join(keys[:_SHOWN])}{', ...' if len(keys) > _SHOWN else ''}"
        for keys, what in ((missing, "missing"), (over, "left over"), (other, "of another shape"))
        if keys
    ]
    if problems:
        raise DataError(f"{where}: expected the {len(expected)} variables of the model; {'; '.join(problems)}")


def read_checkpoint(prefix: Path, expected: Shapes) -> dict[str, NDArray[Any]]:
    """Reads all variables of a checkpoint.

    Args:
        prefix: path of its files without `.index`.
        expected: shapes by key; nothing is read unless the checkpoint has exactly these.

    Returns:
        Float arrays by key, without `SUFFIX`.

    Raises:
        DataError: when it is not a whole checkpoint, or has other variables.
    """
    where = f"{prefix.name} of the archive"
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        found = {key.removesuffix(SUFFIX): tuple(shapes[key]) for key in sorted(shapes) if key not in _BOOKKEEPING}
        account(expected, found, where)
        if other := [key for key in expected if types[key + SUFFIX] != tf.float32]:
            raise DataError(f"{where}: expected float32, got {types[other[0] + SUFFIX].name} in {other[0]}")
        values = {key: np.asarray(reader.get_tensor(key + SUFFIX)) for key in expected}
    except (tf.errors.OpError, ValueError, LookupError, RuntimeError) as error:
        raise DataError(f"{where} is not a complete TensorFlow checkpoint: {_first_line(error)}") from None
    if broken := [key for key, value in values.items() if not np.isfinite(value).all()]:
        raise DataError(f"{where}: {broken[0]} holds values that are not finite")
    return values


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
