"""The lists of Pascal VOC in ImageSets/Main: which image is in which split."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from boxwright.dataset.importing.source import (
    BrokenError,
    Reading,
    head_of,
    is_picture,
    parts_of,
    read_text,
    shown,
    split_named,
)

_FOLDER = re.compile(r"(?:^|/)imagesets/", re.I)
# Behind a name in a list of one class: whether the class is in the image.
_FLAG = re.compile(r"\s+-?[01]$")


class Lists:
    """The split of each listed name, for each folder that has lists, as VOC2007 and VOC2012 beside each other."""

    def __init__(self, reading: Reading) -> None:
        self.account = reading.account
        self._stems = {PurePosixPath(name).stem for name in reading.tree.ending(".xml")}
        self._splits: dict[str, dict[str, str]] = {}
        self._where: dict[tuple[str, str], str] = {}
        lists = {} if reading.file is not None else _files(reading, self._stems)
        self.title = "ImageSets/Main" if any(map(_FOLDER.search, sum(lists.values(), []))) else "the splits"
        for root, names in lists.items():
            found = self._splits[root] = {}
            for name in names:
                stem = PurePosixPath(name).stem.lower()
                split = split_named(stem) or ("training" if stem == "trainval" else None)
                # trainval says something only where no list is finer.
                finer = any(PurePosixPath(other).stem.lower() == "train" for other in names)
                if split is not None and not (stem == "trainval" and finer):
                    self._read(reading, root, name, split, found)

    def _read(self, reading: Reading, root: str, name: str, split: str, found: dict[str, str]) -> None:
        try:
            lines = read_text(reading.tree.path(name)).splitlines()
        except BrokenError as error:
            raise BrokenError(f"{shown(name)}: {error}") from None
        for number, line in enumerate(lines, 1):
            entry = _entry(line.strip(), self._stems)
            if not entry:
                continue
            self._where.setdefault((root, entry), f"{shown(name)}: line {number}: {shown(entry)}")
            if (earlier := found.setdefault(entry, split)) != split:
                self.account.noted(f"listed for {earlier} and for {split}; it is in {earlier}", shown(entry))

    def has_lists(self, file: str) -> bool:
        """Whether there are lists for the folder that a file of annotations lies in."""
        return bool(self._splits.get(self._root_of(file), {}))

    def take(self, file: str, stem: str) -> str | None:
        """The split of an image, by its file of annotations; None where it is in no list."""
        root = self._root_of(file)
        self._where.pop((root, stem), None)
        return self._splits.get(root, {}).get(stem)

    def name_untaken(self) -> None:
        """Names what is listed and has no file of annotations."""
        for where in self._where.values():
            self.account.went_in.images += 1
            self.account.left_out("listed, without a file of annotations", where, images=1)

    def _root_of(self, file: str) -> str:
        above = [folder for folder in self._splits if not folder or file.startswith(f"{folder}/")]
        return max(above, key=len, default="")


def _entry(line: str, stems: set[str]) -> str:
    """What a line of a list means: a name without its extension, and without the columns behind it.

    Some lists have flags behind a name, or the file of annotations. What is there says which words are the name.
    """
    columns = line.split()
    rest = [" ".join(columns[:count]) for count in range(len(columns), 0, -1)]
    entries = [_without_extension(name) for name in (line, *rest)]
    return next((name for name in entries if name in stems), _without_extension(_FLAG.sub("", line)))


def _without_extension(written: str) -> str:
    last = (parts_of(written) or [""])[-1]
    return last.rpartition(".")[0] if is_picture(last) or last.lower().endswith(".xml") else last


def _files(reading: Reading, stems: set[str]) -> dict[str, list[str]]:
    """The lists of each folder that has ImageSets; those of single classes only where there are no others.

    Lists of single classes have an underscore in their names (`bolt_train.txt`), and each has all images of its split.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(reading.tree.ending(".txt")):
        if match := _FOLDER.search(name):
            found.setdefault(name[: match.start()], []).append(name)
    for root, names in found.items():  # those of other tasks, as Segmentation/, are subsets of their own
        found[root] = [name for name in names if "/main/" in f"/{name}".lower()] or names
    for name in [] if found else sorted(reading.tree.ending(".txt")):
        if _is_list(reading, name, stems):
            folder = name.rpartition("/")[0]
            is_above = any(file.startswith(f"{folder}/") for file in reading.tree.ending(".xml"))
            found.setdefault(folder if is_above else folder.rpartition("/")[0], []).append(name)
    return {root: [name for name in names if "_" not in PurePosixPath(name).stem] or names
            for root, names in found.items()}  # fmt: skip


def _is_list(reading: Reading, name: str, stems: set[str]) -> bool:
    """Whether a text file that is called like a split begins with the name of a file of annotations."""
    stem = PurePosixPath(name).stem.lower()
    if split_named(stem) is None and stem != "trainval":
        return False
    first = head_of(reading.tree.path(name), 4096).split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    return _entry(first, stems) in stems
