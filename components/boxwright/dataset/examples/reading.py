"""The shards of a folder of examples, whether all of them are there or still on their way; none is used unchecked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boxwright.dataset.examples.summary import ExamplesSummary
from boxwright.dataset.examples.tfrecord import BrokenRecordError, read_records
from boxwright.errors import BoxwrightError, StorageError
from boxwright.storage import FetchedAhead, FileEntry, write_json

# Marks a folder that came from a shared place as whole.
COMPLETE_FILE = "complete.json"
SHARDS = "examples-*.tfrecord"
_AHEAD_FILE = "fetched-ahead.json"
# What a folder has of its own on each machine.
MARKS = (COMPLETE_FILE, _AHEAD_FILE)


class CheckedShards(Sequence[Path]):
    """The shards of a split, each read whole before it is first given out.

    TensorFlow reads a file without records as often as it takes to see one, and learns from fewer images without a
    word where records are missing at the end.

    Args:
        shards: the files, there or on their way.
        images: the number of images of the split, dealt out to the shards one by one.
    """

    def __init__(self, shards: Sequence[Path], images: int) -> None:
        self._shards, self._images = shards, images
        self._checked: set[int] = set()
        self._problem: BoxwrightError | None = None

    def __len__(self) -> int:
        return len(self._shards)

    @property
    def images(self) -> int:
        """The number of images in all files."""
        return self._images

    @property
    def size(self) -> int:
        """Bytes of all files, there or not."""
        shards = self._shards
        return shards.size if isinstance(shards, FetchedAhead) else sum(path.stat().st_size for path in shards)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[one] for one in range(len(self))[number]]
        number = range(len(self))[int(number)]
        try:
            path = self._shards[number]
            if number not in self._checked:
                _check_shard(path, len(range(number, self._images, len(self))))
                self._checked.add(number)
        except BoxwrightError as error:
            self._problem = error
            raise
        return path

    def explain(self) -> None:
        """Says what went wrong in TensorFlow's hands, if these files were at fault.

        Raises:
            BoxwrightError: what it got in place of a shard, or what has become of one since it was checked.
        """
        if self._problem is not None:
            raise self._problem
        self._checked.clear()
        for _ in self:
            pass


def leave_shards(folder: Path, uri: str, shards: Sequence[FileEntry]) -> None:
    """Notes which shards of a folder are still at `uri`, for `shards_of` to fetch."""
    write_json(folder / _AHEAD_FILE, {"uri": uri, "shards": [vars(entry) for entry in shards]})


def shards_left(folder: Path) -> list[FileEntry]:
    """The shards of a folder that are not in it, but where `leave_shards` noted."""
    return _left(folder)[1]


def shards_of(examples_dir: Path, split: str) -> CheckedShards:
    """The shards of a split, in order; those of a folder that was not brought whole are waited for one by one.

    Raises:
        DataError: the folder has no usable summary.
        StorageError: a shard is missing; and, when one is asked for, it is damaged.
    """
    counts = ExamplesSummary.read(examples_dir).splits[split]
    shards = _files(examples_dir, split)
    if len(shards) != counts.shards:
        folder = examples_dir / split
        raise StorageError(
            f"{folder} has {len(shards)} of {counts.shards} shards; the others were removed", file=str(folder)
        )
    return CheckedShards(shards, counts.images)


def _files(examples_dir: Path, split: str) -> Sequence[Path]:
    uri, left = _left(examples_dir)
    if entries := [entry for entry in left if entry.key.startswith(f"{split}/")]:
        return FetchedAhead(uri, entries, examples_dir)
    return sorted((examples_dir / split).glob(SHARDS))


def _left(folder: Path) -> tuple[str, list[FileEntry]]:
    """Where shards of a folder still are, and which."""
    path = folder / _AHEAD_FILE
    if not path.exists() or (folder / COMPLETE_FILE).exists():
        return "", []
    try:
        content = json.loads(path.read_bytes())
        return str(content["uri"]), [FileEntry(**entry) for entry in content["shards"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StorageError(f"{path} is not as it was written ({type(error).__name__})", file=str(path)) from None


def _check_shard(path: Path, images: int) -> None:
    """Raises a StorageError unless a shard has as many records as there are images, each as it was written."""
    try:
        with path.open("rb") as file:
            found = sum(1 for _ in read_records(file))
        problem = "" if found == images else f"it has {found} records, expected {images}"
    except (BrokenRecordError, OSError) as error:
        problem = str(error)
    if problem:
        raise StorageError(f"{path} is not as it was written: {problem}; check the disk", file=str(path))
