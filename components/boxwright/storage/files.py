"""The local file system: atomic writes, and the storage operations on plain folders."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boxwright.errors import BoxwrightError, DataError, StorageError, UsageError
from boxwright.storage.allowed import are_links_limited, check_links
from boxwright.storage.checks import Check
from boxwright.storage.file_entry import ChangedError, FileEntry, too_large
from boxwright.storage.location import Location


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`; it takes the place of `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Writes `data` so that a reader sees the whole old file or the whole new one."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as JSON, atomically, with a byte-stable layout. NaN and infinity are refused."""
    # Piece by piece: the text of a large file's pieces would take ten times its size.
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, allow_nan=False)
        file.write("\n")


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_entries(location: Location) -> list[FileEntry]:
    """All files below a folder; none where the folder does not exist, as in S3."""
    root, entries, limited = location.path, [], are_links_limited()
    with _explained(location):
        # A link to a folder is not followed below the root: it could lead in circles.
        for folder, _, names in os.walk(root, onerror=_reraise):
            for name in names:
                path = Path(folder, name)
                if limited and path.is_symlink():
                    check_links(path)
                if path.is_file():
                    entries.append(_entry(path, path.relative_to(root).as_posix()))
    return entries


def _reraise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _entry(path: Path, key: str) -> FileEntry:
    status = path.stat()
    written = datetime.fromtimestamp(status.st_mtime, UTC)
    return FileEntry(key, status.st_size, _etag(status), modified=f"{written:%Y-%m-%dT%H:%M:%SZ}")


def _etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def head(location: Location) -> FileEntry:
    """The entry of one file; its key is the file's name."""
    with _explained(location):
        if location.path.is_dir():
            raise DataError(f"{location} is a folder, expected a file")
        return _entry(location.path, location.path.name)


def exists(location: Location) -> bool:
    """Whether the file is there."""
    with _explained(location):
        return location.path.is_file()


def read(location: Location, limit: int) -> bytes:
    """The bytes of a file of at most `limit` bytes."""
    head(location)
    with _explained(location), location.path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise too_large(str(location), location.path.stat().st_size, limit)
    return data


def identity(location: Location, entry: FileEntry) -> str:
    """Names this content of this file."""
    return f"{location}\n{entry.etag}"


def address(_: FileEntry) -> str | None:
    """The content address that the listing tells: none, a file system keeps no hashes."""
    return None


def check(_: Location, __: FileEntry, doubted: bool = False) -> Check:
    """The expected checksum of a file: none is known beforehand."""
    del doubted
    return Check("sha256")


def reader(_: Location) -> Callable[[Location, FileEntry, int, int], bytes]:
    """A function that reads the bytes [start, stop) of a file as it was listed.

    It raises:
        ChangedError: it is another one by now.
    """
    return _read_range


def _read_range(location: Location, entry: FileEntry, start: int, stop: int) -> bytes:
    with _explained(location):
        try:
            with location.path.open("rb") as file:
                file.seek(start)
                data = file.read(stop - start)
                if len(data) != stop - start or _etag(os.fstat(file.fileno())) != entry.etag:
                    raise ChangedError(str(location))
        except FileNotFoundError:
            raise ChangedError(str(location)) from None
    return data


def send(path: Path, location: Location, new: bool) -> bool:
    """Copies `path` to a file, atomically; with `new`, only where there is none yet. Says whether it did."""
    target = location.path
    with _explained(location):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".{uuid.uuid4().hex}.part"
        try:
            shutil.copyfile(path, temporary)
            if temporary.stat().st_size != path.stat().st_size:
                raise ChangedError(str(path))
            if not new:
                os.replace(temporary, target)
                return True
            try:
                os.link(temporary, target)  # unlike a move, it fails where the name is taken
            except FileExistsError:
                return False
            return True
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _explained(location: Location) -> Iterator[None]:
    check_links(location.path)
    try:
        yield
    except OSError as error:
        raise explain_os_error(error, str(location)) from error


def explain_os_error(error: OSError, name: str) -> BoxwrightError:
    """The typed error for a failure of the file system on `name`."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return DataError(f"{error.filename or name} does not exist; correct the URI or put the file there")
    if isinstance(error, PermissionError):
        return UsageError(f"{error.filename or name}: permission denied; let this user read (and for output write) it")
    return StorageError(f"{error.filename or name}: {error.strerror or error}; free space or mend the disk, run again")
