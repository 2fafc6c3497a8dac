"""The splits of a YOLO set as `data.yaml` has them: folders of images, or lists of their names."""

from __future__ import annotations

from functools import cached_property

from boxwright.dataset.importing.reading import Reading
from boxwright.dataset.importing.records import BrokenError, shown
from boxwright.dataset.importing.texts import read_text
from boxwright.dataset.importing.tree import folded, parts_of


class Lists:
    """The splits.

    Attributes:
        split_of: of each picture that is in one, by its path in the tree.
        files: the lists of names that were read.
    """

    def __init__(self, reading: Reading, file: str, splits: dict[str, list[str]]) -> None:
        """Reads the entries of each split that `file` has."""
        self.reading, self.tree = reading, reading.pictures.tree
        self.split_of: dict[str, str] = {}
        self.files: set[str] = set()
        for split, entries in splits.items():
            for entry in entries:
                for picture in self._members(entry):
                    if (earlier := self.split_of.setdefault(picture, split)) != split:
                        reason = f"{shown(file)} has it in {earlier} and in {split}; it is in {earlier}"
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
            if members := [name for name in self.tree.pictures if name.startswith(prefix)]:
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
