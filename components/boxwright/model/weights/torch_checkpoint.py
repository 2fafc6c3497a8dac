"""Reads a PyTorch checkpoint without PyTorch and without running what it contains.

The file is a pickle, and pickles can run code. This reader resolves the four names that a plain table of tensors
needs, to stand-ins of its own, and refuses every other one.
"""

from __future__ import annotations

import collections
import pickle
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from boxwright.errors import DataError

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
    """Reads every tensor of a PyTorch state dict.

    Args:
        path: a file written by `torch.save(state_dict)` in the layout before torch 1.6.

    Returns:
        Arrays by their names in the state dict, in PyTorch's axis order.

    Raises:
        DataError: when the file is not such a table.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, struct.error) as error:
        raise DataError(f"{path.name}: expected a PyTorch table of tensors: {error}") from None


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
