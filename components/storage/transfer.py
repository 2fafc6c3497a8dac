"""The storage API: every function takes a URI and works the same on S3 and on local folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Protocol

from components.errors import StorageError
from components.storage import files, s3
from components.storage.entry import FileEntry
from components.storage.location import Location, parse_uri

_PARALLEL = 16
Progress = Callable[[int, int], None]


class _Backend(Protocol):
    def list_entries(self, location: Location) -> list[FileEntry]: ...
    def head(self, location: Location) -> FileEntry: ...
    def exists(self, location: Location) -> bool: ...
    def read(self, location: Location, limit: int) -> bytes: ...
    def fetch(self, location: Location, target: Path) -> None: ...
    def is_copy(self, path: Path, entry: FileEntry) -> bool: ...
    def send(self, path: Path, location: Location) -> None: ...


def _backend(location: Location) -> _Backend:
    return files if location.bucket is None else s3


def list_files(uri: str) -> list[FileEntry]:
    """All files below a folder, sorted by key; empty where there are none.

    Raises:
        UsageError, StorageError: see the package.
    """
    location = parse_uri(uri)
    return sorted(_backend(location).list_entries(location), key=lambda entry: entry.key)


def stat(uri: str) -> FileEntry:
    """Size and etag of one file.

    Raises:
        DataError: it does not exist.
    """
    location = parse_uri(uri)
    return _backend(location).head(location)


def exists(uri: str) -> bool:
    """Whether the file (not folder) is there. A missing bucket is a `UsageError`, not False."""
    location = parse_uri(uri)
    return _backend(location).exists(location)


def read_bytes(uri: str, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes.

    Raises:
        DataError: it does not exist or is larger.
    """
    location = parse_uri(uri)
    return _backend(location).read(location, limit)


def download_file(uri: str, path: Path) -> None:
    """Brings one file to `path`, atomically; see `download`."""
    location = parse_uri(uri)
    _bring(location, _backend(location).head(location), path)


def download(
    uri_prefix: str, keys: Iterable[str | FileEntry], target_dir: Path, on_progress: Progress | None = None
) -> list[Path]:
    """Brings files below `uri_prefix` to the same keys below `target_dir`, in parallel.

    Each file appears whole or not at all. A file that is there already, complete and unchanged, is not fetched again.

    Args:
        uri_prefix: folder to read from.
        keys: what to fetch; entries from `list_files` save a request for each size.
        target_dir: folder to write to; no key can lead out of it.
        on_progress: called with (files done, files in all) after each file, from this thread.

    Returns:
        The paths, in the order of `keys`.

    Raises:
        UsageError: a key is not safe (raised before anything is fetched), or see the package.
        DataError: a file does not exist.
        StorageError: a transfer failed, or what came has not the listed size.
    """
    root, wanted = parse_uri(uri_prefix), list(keys)
    names = [key if isinstance(key, str) else key.key for key in wanted]
    sources = [root.child(name) for name in names]
    targets = [target_dir / name for name in names]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        jobs = [pool.submit(_fetch, *job) for job in zip(sources, wanted, targets, strict=True)]
        try:
            for done, job in enumerate(as_completed(jobs), start=1):
                job.result()
                if on_progress:
                    on_progress(done, len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return targets


def _fetch(source: Location, wanted: str | FileEntry, target: Path) -> None:
    entry = _backend(source).head(source) if isinstance(wanted, str) else wanted
    _bring(source, entry, target)


def _bring(source: Location, entry: FileEntry, target: Path) -> None:
    backend = _backend(source)
    try:
        if target.is_file() and backend.is_copy(target, FileEntry(target.name, entry.size, entry.etag)):
            return
        with files.replacing(target) as temporary:
            backend.fetch(source, temporary)
            size = temporary.stat().st_size
            if size != entry.size:
                raise StorageError(f"{source}: expected {entry.size:,} bytes, got {size:,}; being written? Run again")
    except OSError as error:
        raise files.explain_os_error(error, str(target)) from error


def upload_file(path: Path, uri: str) -> None:
    """Puts a local file at `uri`, whole or not at all, and checks the size that arrived.

    Raises:
        UsageError, StorageError: see the package.
    """
    location = parse_uri(uri)
    backend = _backend(location)
    try:
        expected = path.stat().st_size
    except OSError as error:
        raise files.explain_os_error(error, str(path)) from error
    backend.send(path, location)
    got = backend.head(location).size
    if got != expected:
        raise StorageError(f"{location}: sent {expected:,} bytes, {got:,} arrived; run again")
