"""The splits that folders and files are named after."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import PurePosixPath

_SPLITS = {
    "training": ("train", "training", "trn"),
    "validation": ("val", "valid", "validation", "validate", "dev", "eval", "evaluation"),
    "test": ("test", "testing", "tst"),
}
_SPLIT_OF = {word: split for split, words in _SPLITS.items() for word in words}
_WORD = re.compile(r"[a-z]+")


def split_of(path: str) -> str | None:
    """The split that a path tells: by its first part that is called like one (`train/images/x.jpg`, `val2017/x.jpg`).

    Where no part is, by the last one with such a word in it (`images_train/x.jpg`).
    """
    parts = PurePosixPath(path).parts
    named = (split for part in reversed(parts) if (split := split_named(part)) is not None)
    return split_called(path) or next(named, None)


@lru_cache(maxsize=4096)
def split_called(path: str) -> str | None:
    """The split of the first part of a path that is called like one and nothing else, but for a year or number."""
    called = (_SPLIT_OF.get(part.lower().rstrip("0123456789-_")) for part in PurePosixPath(path).parts)
    return next(filter(None, called), None)


def split_named(name: str) -> str | None:
    """The split that a folder or file is named after: `train`, `instances_val2017.json`, `test_labels.csv`."""
    found = {_SPLIT_OF[word] for word in _WORD.findall(name.lower()) if word in _SPLIT_OF}
    return found.pop() if len(found) == 1 else None
