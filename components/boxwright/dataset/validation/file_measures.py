"""Checks of a split's file as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from boxwright.dataset.annotations import unknown_keys
from boxwright.dataset.validation.checks import Found
from boxwright.dataset.validation.split_data import SplitData


def empty_lists(split: SplitData) -> Iterator[Found]:
    """The first list without records among those that must have some: a training set needs boxes."""
    for name in ("images", "annotations") if split.name == "training" else ("images",):
        if not split.document[name]:
            yield Found(name, [], context=f"expected at least one in {name}")
            return


def unnamed_classes(split: SplitData) -> Iterator[Found]:
    """The list `categories`, where the file has none."""
    if not split.is_named:
        yield Found("categories", None)


def keys_not_read(split: SplitData) -> Iterator[Found]:
    """Each key that nothing reads, at the first record that has it."""
    for found in unknown_keys(split.document):
        value = {"key": found.key, "records": found.records}
        yield Found(found.list, value, found.index, f"known are {', '.join(found.known)}")
