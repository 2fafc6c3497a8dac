"""A reader of PyTorch checkpoints, and the names in one of EfficientNet-Lite0: what the table of its layout is held to.

The file is a pickle, and pickles can run code. This reader resolves the four names that a plain table of tensors
needs, to stand-ins of its own, and refuses every other one. Only the tests use it.
"""

from __future__ import annotations

import collections
import pickle
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_MAGIC = 0x1950A86A20F9469CFC6C  # torch/serialization.py, the layout before torch 1.6
_DTYPES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
_Tensor = tuple[str, int, tuple[int, ...], tuple[int, ...]]


def _tensor(storage: str, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> _Tensor:
    return storage, offset, size, stride


class _TableUnpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.dtypes: dict[str, np.dtype[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, pid: Any) -> str:
        _, dtype, key, *_rest = pid
        self.dtypes[key] = _DTYPES[dtype]
        return str(key)


def read_torch_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Every tensor of a PyTorch state dict by its name, in PyTorch's axis order.

    Args:
        path: a file written by `torch.save(state_dict)` in the layout before torch 1.6.
    """
    with path.open("rb") as file:
        return _read(file)


def in_keras(array: NDArray[Any], is_depthwise: bool) -> NDArray[Any]:
    """A tensor in the axis order of Keras."""
    if array.ndim != 4:
        return array
    return np.transpose(array, (2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))


def torch_prefixes(layer_names: list[str]) -> dict[str, str]:
    """Names in the PyTorch table by Keras layer name; its blocks are counted through, Keras's are `block2a`."""
    prefixes = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
    parts = {
        "expand_conv": "_expand_conv",
        "expand_bn": "_bn0",
        "dwconv": "_depthwise_conv",
        "dwconv_bn": "_bn1",
        "project": "_project_conv",
        "project_bn": "_bn2",
    }
    blocks: list[str] = []
    for name in layer_names:
        block, _, part = name.partition("_")
        if not block.startswith("block") or part not in parts:
            continue
        if block not in blocks:
            blocks.append(block)
        prefixes[name] = f"_blocks.{blocks.index(block)}.{parts[part]}"
    return prefixes


def _read(file: BinaryIO) -> dict[str, NDArray[Any]]:
    if _TableUnpickler(file).load() != _MAGIC:
        raise ValueError("wrong magic number")
    _TableUnpickler(file).load()  # protocol version
    _TableUnpickler(file).load()  # byte order and type sizes of the writer
    table_reader = _TableUnpickler(file)
    table = table_reader.load()
    storages: dict[str, NDArray[Any]] = {}
    for key in _TableUnpickler(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        dtype = table_reader.dtypes[key]
        storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return {name: _view(storages[key], *shape) for name, (key, *shape) in table.items()}


def _view(storage: NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> NDArray[Any]:
    """A copy of the tensor; weights that came from TensorFlow are stored transposed, told by their strides."""
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if offset < 0 or min(stride, default=0) < 0 or min(size, default=1) < 1 or last >= storage.size:
        raise ValueError("a tensor reaches beyond its storage")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()
