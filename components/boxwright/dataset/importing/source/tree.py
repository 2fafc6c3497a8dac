"""The files of a source, listed once: which are images, which belong to nobody, and which one a record means.

Names come from untrusted files. They are only ever looked up in the listing, so that none leads out of the folder.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from itertools import takewhile
from pathlib import Path

from boxwright.dataset.importing.source.split_words import split_called, split_of
from boxwright.dataset.importing.source.written_names import PACKED, folded, is_picture, parts_of
from boxwright.storage import is_leftover

_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # of JPEG and PNG


class Tree:
    """The files below a folder, by their paths relative to it; linked folders are gone into.

    Attributes:
        root: the folder.
        files: all of them but leftovers and those in hidden folders.
        leftovers: those that a system left behind.
        closed: folders that are not gone into, and what is no file, with the reason.
        unreadable: folders that cannot be listed, with the reason.
        linked: the real path of each file that is reached through a link.
    """

    def __init__(self, root: Path, without: Path | None = None) -> None:
        self.root = root
        self.files: list[str] = []
        self.leftovers: list[str] = []
        self.closed: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}
        self.linked: dict[str, str] = {}
        self._real_root = os.path.realpath(root)
        self._without = None if without is None else os.path.realpath(without)
        self._walk("", self._real_root, (self._real_root,), False)

    def _walk(self, prefix: str, real: str, above: tuple[str, ...], linked: bool) -> None:
        """Lists a folder: its path with a slash behind it, its real path, and those of the folders that it lies in."""
        try:
            entries = sorted(os.scandir(real), key=lambda entry: entry.name)
        except OSError as error:
            self.unreadable[prefix.rstrip("/") or "."] = f"cannot be listed: {error.strerror or error}"
            return
        folders = []
        for entry in entries:
            name = prefix + entry.name
            if is_leftover(entry.name):
                self.leftovers.append(name)
            elif entry.is_dir():
                folders.append(entry)
            elif not entry.is_file() and os.path.exists(entry.path):
                self.closed[name] = "neither a file nor a folder, not read"
            else:
                self.files.append(name)
                if linked or entry.is_symlink():
                    self.linked[name] = os.path.realpath(entry.path)
        for entry in folders:
            self._go_into(prefix + entry.name, entry, above, linked)

    def _go_into(self, name: str, entry: os.DirEntry[str], above: tuple[str, ...], linked: bool) -> None:
        link = entry.is_symlink()
        real = os.path.realpath(entry.path) if link else entry.path
        if real == self._without:
            return
        if entry.name.startswith("."):
            self.closed[name] = "a hidden folder, not gone into"
        elif link and (real in above or (linked and self._is_own(real))):
            self.closed[name] = "a link to a folder that is read under its own name, not gone into"
        else:
            self._walk(f"{name}/", real, (*above, real), linked or link)

    def _is_own(self, real: str) -> bool:
        return real.startswith(self._real_root + os.sep)

    def identity(self, name: str) -> str:
        """What is the same for all names of one file: its path in the tree, or outside of it its real one."""
        real = self.linked.get(name)
        if real is None:
            return name
        return os.path.relpath(real, self._real_root).replace(os.sep, "/") if self._is_own(real) else real

    def path(self, name: str) -> Path:
        """Where a file is."""
        return self.root / name

    @cached_property
    def known(self) -> frozenset[str]:
        """`files`, for look-ups."""
        return frozenset(self.files)

    @cached_property
    def pictures(self) -> list[str]:
        """The files that are pictures by their names."""
        return [name for name in self.files if is_picture(name)]

    @cached_property
    def packed(self) -> list[str]:
        """The archives and compressed files, which are not gone into."""
        return self.ending(*PACKED)

    @cached_property
    def top(self) -> str:
        """The folders that all files lie in, as archives have one around a set, with a slash behind; "" is none."""
        if not self.files:
            return ""
        first, last = min(self.files).split("/")[:-1], max(self.files).split("/")[:-1]
        return "".join(f"{part}/" for part in _alike(first, last))

    def split_of(self, folder: str) -> str | None:
        """The split that a folder of this tree tells, whatever the folders around the whole set are called."""
        return split_of(f"{folder}/".removeprefix(self.top))

    def split_called(self, folder: str) -> str | None:
        """As `split_of`, but only of a folder that is called like a split and nothing else."""
        return split_called(f"{folder}/".removeprefix(self.top))

    def ending(self, *suffixes: str) -> list[str]:
        """The files with one of these endings, in any case."""
        return [name for name in self.files if name.lower().endswith(suffixes)]

    @cached_property
    def folders(self) -> dict[str, list[str]]:
        """The files of each folder, without those below it; "" is the root."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in self.files:
            found[name.rpartition("/")[0]].append(name)
        return dict(found)


class Pictures:
    """The pictures of a source, found by what records call them.

    Attributes:
        tree: the files that they are among.
        names: their paths in it, only of those `below` a folder.
    """

    def __init__(self, tree: Tree, below: str = "") -> None:
        self.tree, self._below = tree, below
        self.names = [name for name in tree.pictures if name.startswith(below)]
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_folded: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._known = frozenset(self.names)
        for name in self.names:
            last = name.rpartition("/")[2]
            self._by_name[last].append(name)
            self._by_folded[folded(last)].append(name)
            self._by_stem[folded(last.rpartition(".")[0])].append(name)

    def find(self, written: str, folders: Iterable[str]) -> list[str]:
        """The pictures that a record may mean: one where it is clear, several where it is not, none.

        Args:
            written: the name in the record.
            folders: where to look first, relative to the root; the whole tree comes after them.
        """
        parts = parts_of(written)
        if not parts:
            return []
        relative = "/".join(parts)
        for folder in folders:
            path = f"{folder}/{relative}" if folder else relative
            if path in self._known or self._is_bare_picture(path):
                return [path]
        if found := self._by_name.get(parts[-1], []):
            return [] if self._is_elsewhere(found, parts) else self._different(closest(found, parts))
        return list(filter(self._is_bare_picture, closest(self._bare.get(parts[-1], []), parts)))

    def _is_elsewhere(self, found: list[str], parts: list[str]) -> bool:
        """Whether the written folder is there and none of the files of this name is in it: they are other pictures."""
        return len(parts) > 1 and parts[-2] in self._folders and all(shared_folders(name, parts) == 0 for name in found)

    @cached_property
    def _folders(self) -> frozenset[str]:
        """The last names of the folders with pictures."""
        return frozenset(name.split("/")[-2] for name in self.names if "/" in name)

    @cached_property
    def _bare(self) -> dict[str, list[str]]:
        """The files whose names do not say that they are pictures."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in self.tree.files:
            if name.startswith(self._below) and not is_picture(name):
                found[name.rpartition("/")[2]].append(name)
        return found

    def _is_bare_picture(self, name: str) -> bool:
        """Whether a file without the extension of a picture begins like one."""
        if name not in self.tree.known or not name.startswith(self._below) or is_picture(name):
            return False
        try:
            with self.tree.path(name).open("rb") as file:
                return file.read(8).startswith(_BEGINNINGS)
        except OSError:
            return False

    def _different(self, names: list[str]) -> list[str]:
        """One name of each file; several lead to one where there are links."""
        return list({self.tree.identity(name): name for name in reversed(names)}.values())[::-1]

    def alike(self, written: str) -> list[str]:
        """Pictures whose name differs in case, extension or Unicode form only."""
        parts = parts_of(written)
        if not parts:
            return []
        return closest(self._by_folded.get(folded(parts[-1]), []), parts) or self.of_stem(written)

    def of_stem(self, written: str) -> list[str]:
        """Pictures with this name but for extension, case and Unicode form; `written` may have no extension."""
        parts = parts_of(written)
        if not parts:
            return []
        last = folded(parts[-1])
        stem = last.rpartition(".")[0] if is_picture(last) else last
        return closest(self._by_stem.get(stem, []), parts)


def closest(candidates: list[str], parts: list[str]) -> list[str]:
    """Those names that share most folders with a path, given by its parts, from the last one up."""
    if len(candidates) < 2:
        return candidates

    counts = {name: shared_folders(name, parts) for name in candidates}
    most = max(counts.values())
    return [name for name in candidates if counts[name] == most]


def shared_folders(name: str, parts: list[str]) -> int:
    """The number of folders that a file's path has in common with one given by its parts, from the last one up."""
    return len(_alike(name.split("/")[-2::-1], parts[-2::-1]))


def _alike(one: list[str], other: list[str]) -> list[str]:
    """What two lists have in common at their beginnings."""
    return [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))]
