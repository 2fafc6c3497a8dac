"""The splits of a YOLO set as `data.yaml` has them: folders of images, or lists of their names."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from boxwright.dataset.importing.source import (
    BrokenError,
    Reading,
    Tree,
    folded,
    head_of,
    is_picture,
    parts_of,
    read_text,
    shown,
    split_named,
)


class Lists:
    """The splits.

    Attributes:
        split_of: of each picture that is in one, by its path in the tree.
        files: the lists of names that were read.
    """

    def __init__(self, reading: Reading, file: str, splits: dict[str, list[str]]) -> None:
        """Reads the entries of each split that `file` has."""
        self.reading, self.tree = reading, reading.pictures.tree
        # What the entries are relative to: the folder of the file, that above it, and the whole set.
        folder = file.rpartition("/")[0]
        places = (folder, folder.rpartition("/")[0])
        self._bases = dict.fromkeys([*(f"{place}/".lstrip("/") for place in places), self.tree.top, ""])
        self.split_of: dict[str, str] = {}
        self.files: set[str] = set()
        for split, entries in splits.items():
            for entry in entries:
                members = self._members(entry)
                if not members and not reading.images_given:
                    reading.account.noted("a split without an image here", f"{shown(file)}: {split}: {shown(entry)}")
                for picture in members:
                    if (earlier := self.split_of.setdefault(picture, split)) != split:
                        reason = f"listed for {earlier} and for {split}; it is in {earlier}"
                        reading.account.noted(reason, shown(picture))

    def _members(self, entry: str) -> list[str]:
        """The pictures of a folder, or of a list of names."""
        parts = parts_of(entry)
        lists = [name for name in self.tree.files if name.split("/")[-len(parts) :] == parts] if parts else []
        if not lists and parts:  # from where it was trained
            lists = [name for name in self.tree.files if name.rpartition("/")[2] == parts[-1]]
        if entry.lower().endswith(".txt") and lists:
            return self._listed(lists[0])
        for start in range(len(parts)):
            prefix = "/".join(parts[start:]) + "/"
            for base in self._bases:
                if members := [name for name in self.tree.pictures if name.startswith(base + prefix)]:
                    return members
        return []

    def _listed(self, file: str) -> list[str]:
        try:
            lines = read_text(self.tree.path(file)).splitlines()
        except BrokenError as error:
            raise BrokenError(f"{shown(file)}: {error}") from None
        self.files.add(file)
        account, members = self.reading.account, []
        for number, line in enumerate(lines, 1):
            if not (written := parts_of(line)):
                continue
            near = self._by_last.get(folded(written[-1]), [])
            found = near if len(near) == 1 else [name for name in near if name.endswith("/".join(written[-2:]))]
            if not found:
                account.went_in.images += 1
                where = f"{shown(file)}: line {number}: {shown(line)}"
                account.left_out("an image that is listed and not there", where, images=1)
            members += found
        return members

    @cached_property
    def _by_last(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for picture in self.tree.pictures:
            found.setdefault(folded(picture.rpartition("/")[2]), []).append(picture)
        return found


def lists_of_pictures(tree: Tree) -> dict[str, list[str]]:
    """The text files that are called like a split and begin with the name of a picture."""
    found: dict[str, list[str]] = {}
    for name in tree.ending(".txt"):
        split = split_named(name.rpartition("/")[2])
        if split is not None and _begins_with_picture(tree.path(name)):
            found.setdefault(split, []).append(name)
    return found


def _begins_with_picture(path: Path) -> bool:
    first = head_of(path, 4096).split(b"\n", 1)[0]
    return is_picture(first.decode("utf-8", "replace").strip())
