"""What may come out of an untrusted archive: the files of a layout, within limits, each once and at its own place."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from boxwright.errors import DataError, shorten
from boxwright.storage.location import is_leftover, unsafe_key

_CHUNK = 1 << 20
_NAMED = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """The allowed content of an archive.

    Attributes:
        folders, files: at its top.
        kind: what the archive is, for errors.
        remedy: what to do about a broken one.
        skipped: folders at its top that are read past, as what a system left behind is everywhere; both are named.
        in_folder: whether all of it lies in one folder, whose name is dropped.
    """

    folders: tuple[str, ...]
    files: tuple[str, ...]
    kind: str
    remedy: str
    skipped: tuple[str, ...] = ()
    in_folder: bool = False

    def problem(self, name: str, is_folder: bool) -> str | None:
        """The problem with an entry of this name, or None."""
        top, *below = PurePosixPath(name).parts
        if top in self.folders and (below or is_folder):
            return None
        if top in self.files and not below and not is_folder:
            return None
        return f"it is not of {self.kind}, which has {self.listed()}"

    def listed(self) -> str:
        """Folders and files."""
        return ", ".join((*(f"{folder}/" for folder in self.folders), *self.files))

    def within(self, name: str) -> str | None:
        """The entry's name below the archive's own folder; None for what is read past."""
        parts = PurePosixPath(name).parts
        known = (*self.folders, *self.files, *self.skipped)
        if self.in_folder and parts[0] not in known:
            parts = parts[1:]
        if any(map(is_leftover, parts)):
            return None
        return None if not parts or parts[0] in self.skipped else "/".join(parts)


class Intake:
    """What is taken out of one archive into a folder, held against its layout and limits."""

    def __init__(self, name: str, layout: Layout, target: Path, max_bytes: int, max_files: int) -> None:
        self.name, self.layout, self.target, self.max_bytes, self.max_files = name, layout, target, max_bytes, max_files
        self.bytes = self.entries = 0
        self.skipped: list[str] = []

    def take(self, name: str, size: int, is_folder: bool) -> IO[bytes] | None:
        """The file to write an entry to; None for a folder, and for what is read past."""
        self._check(name, size, is_folder)
        place = self.layout.within(name)
        if place is None:
            self.skipped += [] if is_folder else [name]
            return None
        if problem := self.layout.problem(place, is_folder):
            raise self.refused(f"has {name!a}: {problem}")
        path = self.target / place
        try:
            if is_folder:
                path.mkdir(parents=True, exist_ok=True)
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("xb")
        except (FileExistsError, NotADirectoryError):
            raise self.refused(f"has {name!a} twice, or as a file and a folder") from None

    def count(self) -> None:
        """Counts an entry."""
        self.entries += 1
        if self.entries > self.max_files:
            raise self.refused(f"has more than {self.max_files} entries")

    def _check(self, name: str, size: int, is_folder: bool) -> None:
        if len(name) > 1024 or unsafe_key(name):
            raise self.refused(f"has the unsafe path {name[:200]!a}")
        if size < 0 or (is_folder and size):
            raise self.refused(f"gives {name!a} the size {size}")
        self.bytes += size
        if self.bytes > self.max_bytes:
            raise self.refused(f"unpacks to more than {self.max_bytes} bytes, at {name!a}")

    def copy(self, source: IO[bytes], target: IO[bytes], name: str, size: int) -> None:
        """Writes an entry, which must have the size that it announces."""
        with target:
            shutil.copyfileobj(source, target, _CHUNK)
            if target.tell() != size:
                raise self.refused(f"ends within {name!a}")

    def tell_skipped(self) -> None:
        """Logs what was read past."""
        if self.skipped:
            _log.warning("%s: %d files are not of %s and were left: %s", self.name, len(self.skipped), self.layout.kind,
                         ", ".join(map(shorten, self.skipped[:_NAMED])))  # fmt: skip

    def refused(self, problem: str) -> DataError:
        """The error for what is not taken."""
        return DataError(f"{self.name} {problem}; expected {self.layout.kind}, with {self.layout.listed()}")
