"""Unpacks an untrusted `.tar.gz`: whatever it claims, only the files of a given layout come out, within limits."""

from __future__ import annotations

import gzip
import logging
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from boxwright.errors import DataError, UsageError, shorten
from boxwright.storage.files import explain_os_error
from boxwright.storage.location import is_leftover, unsafe_key

_CHUNK = 1 << 20
_NAMED = 10
_log = logging.getLogger(__name__)
# Names and extended headers of one entry; a bomb may hide in them, since tarfile reads them into memory whole.
_HEADER_LIMIT = 1 << 18
_BROKEN = (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError, ValueError, OverflowError, RecursionError)


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


def unpack(archive_path: Path, target_dir: Path, layout: Layout, max_bytes: int, max_files: int) -> None:
    """Unpacks an untrusted `.tar.gz` into a new folder; nothing is left where it is refused.

    Regular files and folders of the layout are taken, and nothing else. Limits hold for what is really
    read, whatever the headers say. Owners, times and modes of the archive are ignored.

    Args:
        archive_path: the archive.
        target_dir: folder to make; it may exist empty.
        layout: what it may hold.
        max_bytes: most bytes of all files together.
        max_files: most entries, folders counted.

    Raises:
        DataError: one line on what is wrong with the archive.
        UsageError: the target holds something already.
        StorageError: the disk failed.
    """
    if target_dir.exists() and (not target_dir.is_dir() or any(target_dir.iterdir())):
        raise UsageError(f"{target_dir} exists and is not empty; unpack {archive_path.name} into a new folder")
    target_dir.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unpack-", dir=target_dir.parent))
    try:
        with archive_path.open("rb") as raw, gzip.GzipFile(fileobj=raw, mode="rb") as zipped:
            _Unpacking(str(archive_path), layout, zipped, temporary, max_bytes, max_files).run()
        temporary.chmod(0o755)
        os.replace(temporary, target_dir)
    except _BROKEN as error:
        raise DataError(
            f"{archive_path} is not a complete .tar.gz ({type(error).__name__}); {layout.remedy}"
        ) from error
    except OSError as error:
        raise explain_os_error(error, str(archive_path)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _Metered:
    """A reader that refuses to give more than it was last allowed."""

    def __init__(self, source: IO[bytes], refuse: Callable[[], DataError]) -> None:
        self.source, self.refuse, self.allowance = source, refuse, 0

    def allow(self, count: int) -> None:
        self.allowance = count + tarfile.RECORDSIZE  # tarfile reads ahead by one record

    def read(self, size: int) -> bytes:
        data = self.source.read(min(size, _CHUNK))
        self.allowance -= len(data)
        if self.allowance < 0:
            raise self.refuse()
        return data


class _Unpacking:
    """One archive on its way to a folder."""

    def __init__(
        self, name: str, layout: Layout, zipped: gzip.GzipFile, target: Path, max_bytes: int, max_files: int
    ) -> None:
        self.layout = layout
        self.name, self.target, self.max_bytes, self.max_files = name, target, max_bytes, max_files
        self.meter = _Metered(
            cast(IO[bytes], zipped), lambda: self._refused("holds more data than its headers announce")
        )
        self.bytes = self.entries = 0
        self.skipped: list[str] = []

    def run(self) -> None:
        self.meter.allow(_HEADER_LIMIT)
        with tarfile.open(fileobj=cast(IO[bytes], self.meter), mode="r|") as archive:
            while (member := archive.next()) is not None:
                unread = self._take(archive, member)
                self.meter.allow(unread + _HEADER_LIMIT)
        if not self.entries:
            raise self._refused("is empty")
        # gzip compares its checksum at the end of the data only.
        while self.meter.read(_CHUNK):
            pass
        if self.skipped:
            _log.warning("%s: %d files are not of %s and were left: %s", self.name, len(self.skipped), self.layout.kind,
                         ", ".join(map(shorten, self.skipped[:_NAMED])))  # fmt: skip

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> int:
        """Deals with one entry; returns how much of it is still to be read past."""
        self.entries += 1
        if self.entries > self.max_files:
            raise self._refused(f"has more than {self.max_files} entries")
        name = PurePosixPath(member.name).as_posix()
        if name == "." and member.isdir():
            return 0
        self._check(member, name)
        place = self.layout.within(name)
        if place is None:
            self.skipped += [] if member.isdir() else [name]
            return member.size
        if problem := self.layout.problem(place, member.isdir()):
            raise self._refused(f"has {name!a}: {problem}")
        path = self.target / place
        try:
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
                return 0
            path.parent.mkdir(parents=True, exist_ok=True)
            target = path.open("xb")
        except (FileExistsError, NotADirectoryError):
            raise self._refused(f"has {name!a} twice, or as a file and a folder") from None
        with target:
            self._copy(archive, member, target)
        return 0

    def _check(self, member: tarfile.TarInfo, name: str) -> None:
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or member.issparse():
            raise self._refused(f"has {name!a}, which is neither a regular file nor a folder")
        if len(name) > 1024 or unsafe_key(name):
            raise self._refused(f"has the unsafe path {name[:200]!a}")
        if member.size < 0 or (member.isdir() and member.size):
            raise self._refused(f"gives {name!a} the size {member.size}")
        self.bytes += member.size
        if self.bytes > self.max_bytes:
            raise self._refused(f"unpacks to more than {self.max_bytes} bytes, at {name!a}")

    def _copy(self, archive: tarfile.TarFile, member: tarfile.TarInfo, target: IO[bytes]) -> None:
        self.meter.allow(member.size + _HEADER_LIMIT)
        source = archive.extractfile(member)
        assert source is not None  # it is a regular file
        shutil.copyfileobj(source, target, _CHUNK)
        if target.tell() != member.size:
            raise self._refused(f"ends within {member.name!a}")

    def _refused(self, problem: str) -> DataError:
        return DataError(f"{self.name} {problem}; expected {self.layout.kind}, with {self.layout.listed()}")
