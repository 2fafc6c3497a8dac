"""The folders of a dataset's splits below one URI."""

from __future__ import annotations

from boxwright.config import ANNOTATIONS_FILE
from boxwright.storage import exists, join

# Other tools have other names for the same folders.
SPLIT_FOLDERS = {
    "training": ("training", "train"),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}


def splits_below(uri: str, annotations_file: str = ANNOTATIONS_FILE) -> dict[str, str]:
    """The URI of each split: sub-folders with an annotations file, or else all of `uri` as training.

    Raises:
        UsageError, StorageError: see `boxwright.storage`.
    """
    names = dict.fromkeys((annotations_file, ANNOTATIONS_FILE))
    if any(exists(join(uri, name)) for name in names):
        return {"training": uri}
    found = {}
    for split, folders in SPLIT_FOLDERS.items():
        for folder in folders:
            if split not in found and any(exists(join(uri, folder, name)) for name in names):
                found[split] = join(uri, folder)
    return found or {"training": uri}
