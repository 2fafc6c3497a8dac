"""The files of a source, listed once: which are images, which belong to nobody, and which one a record means.

Names come from untrusted files. They are only ever looked up in the listing, so that none leads out of the folder.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from boxwright.storage import is_leftover

READ = (".jpg", ".jpeg", ".png")
# Pictures that Boxwright does not read; `--reencode` makes them such, as far as Pillow can.
OTHER_PICTURES = (".bmp", ".webp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".avif", ".jfif", ".jp2", ".dib", ".ppm")
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_LOCAL = "local-files/?d="  # Label Studio's, before a path on its own disk
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")


def is_picture(name: str) -> bool:
    """Whether a name is that of a picture, of a kind that is read or not."""
    return name.lower().endswith(READ + OTHER_PICTURES)


def parts_of(written: str) -> list[str]:
    """The parts of a path as systems and services write it: with a drive, as a URL, or behind Label Studio's `?d=`."""
    name = written.strip()
    if _SCHEME.match(name):
        name = _path_of_url(name)
    elif _LOCAL in name:
        name = unquote(name.split(_LOCAL, 1)[1])
    elif _DRIVE.match(name):
        name = name[2:]
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def _path_of_url(url: str) -> str:
    try:
        split = urlsplit(url)
        given = parse_qs(split.query)
    except ValueError:  # brackets that are no address
        return url.split("://", 1)[1].partition("/")[2]
    return given["d"][0] if "d" in given else unquote(split.path)


def folded(name: str) -> str:
    """A name without what systems do not tell apart: case, and the way its accents are composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class Tree:
    """The files below a folder, by their paths relative to it; linked folders are gone into.

    Attributes:
        root: the folder.
        files: all of them but leftovers and those in hidden folders.
        leftovers: those that a system left behind.
        closed: folders that are not gone into, with the reason.
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
        self.tree = tree
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
            if (path := f"{folder}/{relative}" if folder else relative) in self._known:
                return [path]
        return self._different(closest(self._by_name.get(parts[-1], []), parts))

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

    def shared(name: str) -> int:
        own = name.split("/")[:-1]
        count = 0
        for mine, theirs in zip(reversed(own), reversed(parts[:-1]), strict=False):
            if mine != theirs:
                break
            count += 1
        return count

    most = max(map(shared, candidates))
    return [name for name in candidates if shared(name) == most]


_SPLITS = {
    "training": ("train", "training", "trn"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "tst"),
}
_SPLIT_OF = {word: split for split, words in _SPLITS.items() for word in words}
_WORD = re.compile(r"[a-z]+")


def split_of(path: str) -> str | None:
    """The split that a path tells: by its first part that is called like one (`train/images/x.jpg`, `val2017/x.jpg`).

    Where no part is, by the last one with such a word in it (`images_train/x.jpg`).
    """
    parts = PurePosixPath(path).parts
    for part in parts:
        if (split := _SPLIT_OF.get(part.lower().rstrip("0123456789-_"))) is not None:
            return split
    return next((split for part in reversed(parts) if (split := split_named(part)) is not None), None)


def split_named(name: str) -> str | None:
    """The split that a folder or file is named after: `train`, `instances_val2017.json`, `test_labels.csv`."""
    found = {_SPLIT_OF[word] for word in _WORD.findall(name.lower()) if word in _SPLIT_OF}
    return found.pop() if len(found) == 1 else None
