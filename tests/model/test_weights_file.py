"""Weights from a stranger: arrays of numbers are taken, and whatever else HDF5 can do is refused in one line."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from boxwright.errors import DataError
from boxwright.model.weights_file import check_weights


def _plain(file: h5py.File) -> None:
    file["layers/conv/vars/0"] = np.ones((3, 3, 4, 8), "float32")
    file["layers/conv/vars/1"] = np.zeros(8, "float32")
    file["layers/count/vars/0"] = np.int64(7)
    file["layers/empty/vars/0"] = np.zeros((0, 4), "float32")
    file.create_group("layers/nothing")


def test_plain_arrays_are_taken(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        _plain(file)
    assert check_weights(tmp_path / "w.h5") == 3 * 3 * 4 * 8 * 4 + 32 + 8


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((8,), "float32")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (8,))
    file.create_virtual_dataset("v", layout)


def _never_written(file: h5py.File) -> None:
    file.create_dataset("huge", (1 << 40,), "float32")


def _many_names(file: h5py.File) -> None:
    _plain(file)
    for number in range(1000):
        file[f"again/{number}"] = file["layers/conv/vars/0"]


HOSTILE: dict[str, tuple[Callable[[h5py.File], Any], str]] = {
    "external link": (lambda file: file.__setitem__("x", h5py.ExternalLink("/etc/hostname", "/")), "link to elsewhere"),
    "soft link": (lambda file: file.__setitem__("x", h5py.SoftLink("/layers")), "link to elsewhere"),
    "a group within itself": (lambda file: file.__setitem__("x/y", file.create_group("x")), "two names"),
    "one array under many names": (_many_names, "two names"),
    "virtual": (_virtual, "a view of other arrays"),
    "in another file": (
        lambda file: file.create_dataset("x", (4,), "uint8", external=[("/etc/hostname", 0, 4)]),
        "another file",
    ),
    "a huge shape": (_never_written, "more than the file holds"),
    "packed": (lambda file: file.create_dataset("x", data=np.zeros(1000), compression="gzip"), "packed"),
    "in pieces": (lambda file: file.create_dataset("x", data=np.zeros(1000), chunks=(10,)), "in pieces"),
    "a filter of a plug-in": (
        lambda file: file.create_dataset(
            "x", (8,), "float32", chunks=(8,), compression=32001, allow_unknown_filter=True
        ),
        "packed",
    ),
    "text": (lambda file: file.__setitem__("x", "hello"), "not numbers"),
    "references": (lambda file: file.create_dataset("x", data=file.ref, dtype=h5py.ref_dtype), "not numbers"),
    "a record": (lambda file: file.__setitem__("x", np.zeros(3, [("a", "f4")])), "not numbers"),
    "a type": (lambda file: file.__setitem__("x", np.dtype("f4")), "neither a group nor an array"),
    "no shape": (lambda file: file.__setitem__("x", h5py.Empty("f4")), "not the shape of an array"),
}


@pytest.mark.parametrize(("write", "why"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_not_an_array_in_the_file_is_refused(tmp_path: Path, write: Any, why: str) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write(file)
    with pytest.raises(DataError, match=why) as caught:
        check_weights(tmp_path / "w.h5")
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_an_error_with_a_type(tmp_path: Path) -> None:
    whole = tmp_path / "w.h5"
    with h5py.File(whole, "w") as file:
        _plain(file)
    data, chance = whole.read_bytes(), random.Random(1)
    for _ in range(300):
        spoilt = bytearray(data)
        for _ in range(chance.randint(1, 6)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        (tmp_path / "spoilt.h5").write_bytes(
            bytes(spoilt[: chance.choice((len(spoilt), chance.randrange(len(spoilt))))])
        )
        try:
            assert check_weights(tmp_path / "spoilt.h5") <= len(data)
        except DataError as error:
            assert "spoilt.h5" in str(error)
