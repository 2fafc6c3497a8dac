"""Weights as numbers: checks that an untrusted HDF5 file is arrays and nothing else, before a network takes them.

HDF5 is a file system in a file: a dataset may lie in another file, be a view of several, be unpacked by a library that
is found when it is read, or declare a shape of any size. Weights need none of that. So what passes is a tree of groups
without links and cycles, and datasets of plain numbers that lie in the file as long as their shapes say. Keras, which
reads the arrays afterwards, takes numbers by name into a network that stands, and no description of one.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from boxwright.errors import DataError, shorten

_MOST_OBJECTS = 100_000
_MOST_AXES = 8
# Floats; counters and seeds are whole numbers. No weight is text, an object or a reference.
_KINDS = "fiu"


def load_weights(network: Any, path: Path, model_id: str) -> None:
    """Copies the numbers of a `.weights.h5` into a Keras network that stands already.

    Args:
        network: built from the catalogue.
        path: the file, of anybody.
        model_id: the catalogue's name of the network, for the message.

    Raises:
        DataError: the file is not one of plain weights, or they are not this network's.
    """
    check_weights(path)
    try:
        network.load_weights(path)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise DataError(f"{path}: does not fit {model_id}: {_first_line(error)}") from None


def check_weights(path: Path) -> int:
    """Walks through a file of weights and reads none of them.

    Returns:
        The bytes of all arrays, which are no more than the file has.

    Raises:
        DataError: naming what in the file is not a plain array of numbers.
    """
    import h5py

    try:
        size = path.stat().st_size
        with h5py.File(path, "r") as file:
            return _Checking(path, size).check(file["/"].id)
    # h5py raises what HDF5 or numpy ran into, of many types, on files that are not whole.
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise DataError(f"{path}: expected a file of weights: {_first_line(error)}") from None


class _Checking:
    """One walk through one file."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size

    def check(self, root: Any) -> int:
        """Bytes of all arrays below the root."""
        from h5py import h5d, h5g, h5o

        names = self._names(root)
        groups = {name.rpartition(b"/")[0] for name in names}
        left = self.size
        for name in names:
            if name in groups:
                continue
            opened = h5o.open(root, name)
            if isinstance(opened, h5d.DatasetID):
                left -= self._length(opened, name, left)
            elif not isinstance(opened, h5g.GroupID):
                raise self._refused(name, "is neither a group nor an array")
        return self.size - left

    def _names(self, root: Any) -> list[bytes]:
        """The objects by their path; each is in one place."""
        from h5py import h5l

        links: list[tuple[bytes, Any, Any]] = []

        # A number ends the walk.
        def note(name: bytes, link: Any) -> int | None:
            links.append((name, link.type, link.u))
            return len(links) if len(links) > _MOST_OBJECTS else None

        root.links.visit(note, info=True)
        seen = set()
        for name, kind, address in links:
            if kind != h5l.TYPE_HARD:
                raise self._refused(name, "is a link to elsewhere")
            if address in seen:
                raise self._refused(name, "is there under two names")
            seen.add(address)
        if len(links) > _MOST_OBJECTS:
            raise self._refused(links[-1][0], f"is one of more than {_MOST_OBJECTS:,} objects")
        return [name for name, _, _ in links]

    def _length(self, dataset: Any, name: bytes, left: int) -> int:
        """Bytes of an array, at most those that are left of the file."""
        from h5py import h5d, h5s

        made = dataset.get_create_plist()
        if made.get_layout() not in (h5d.CONTIGUOUS, h5d.COMPACT) or made.get_nfilters():
            raise self._refused(name, "is packed, in pieces, or a view of other arrays")
        if made.get_external_count():
            raise self._refused(name, "lies in another file")
        shape, dtype = dataset.shape, dataset.dtype
        if dtype.kind not in _KINDS or dtype.metadata:
            raise self._refused(name, f"holds {dtype}, not numbers")
        if dataset.get_space().get_simple_extent_type() not in (h5s.SIMPLE, h5s.SCALAR) or len(shape) > _MOST_AXES:
            raise self._refused(name, "has not the shape of an array")
        length = int(math.prod(shape) * dtype.itemsize)
        # Numbers that were declared and never written would be made up when they are read.
        if length != dataset.get_storage_size() or length > left:
            raise self._refused(name, f"declares the shape {shape}, which is more than the file holds")
        return length

    def _refused(self, name: bytes, why: str) -> DataError:
        return DataError(
            f"{self.path}: {shorten(name.decode('utf-8', 'replace'))} {why}; expected weights as Boxwright writes them"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
