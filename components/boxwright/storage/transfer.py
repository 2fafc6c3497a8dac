"""The storage API: every function takes a URI and works the same on S3 and on local folders."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from boxwright.storage import files, s3
from boxwright.storage.cache import open_cache
from boxwright.storage.checks import Check
from boxwright.storage.fetching import Job, Progress, Source, TransferStats, fetch_all
from boxwright.storage.file_entry import FileEntry
from boxwright.storage.location import Location, join, parse_uri
from boxwright.storage.retry import Retries

_SENT_AT_ONCE = 8
_log = logging.getLogger("boxwright")


@dataclass(frozen=True)
class UploadStats:
    """The result of `upload_missing`.

    Attributes:
        sent: files that were put.
        there: files that were there already.
        others: names below the URI that are not among the files.
    """

    sent: int
    there: int
    others: tuple[str, ...]


class _Backend(Source, Protocol):
    def list_entries(self, location: Location) -> list[FileEntry]: ...
    def head(self, location: Location) -> FileEntry: ...
    def exists(self, location: Location) -> bool: ...
    def read(self, location: Location, limit: int) -> bytes: ...
    def send(self, path: Path, location: Location, new: bool) -> bool: ...


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


def download_file(uri: str, path: Path, stats: TransferStats | None = None) -> None:
    """Brings one file to `path`, atomically; see `download`."""
    location = parse_uri(uri)
    backend = _backend(location)
    fetch_all(backend, [Job(location, backend.head(location), path)], open_cache(), stats or TransferStats())


def download(
    uri_prefix: str,
    keys: Iterable[str | FileEntry],
    target_dir: Path,
    on_progress: Progress | None = None,
    stats: TransferStats | None = None,
) -> list[Path]:
    """Brings files below `uri_prefix` to the same keys below `target_dir`, in parallel, through this machine's cache.

    Each file appears whole, verified and read-only, or not at all: by the MD5 that its ETag is, by S3's SHA-256, or by
    a second reading where the server knows no checksum. What the cache has, from whichever source, is not fetched
    again; where the file system allows, the file is a second link to the cached one. A call that was killed is
    gone on with.

    Args:
        uri_prefix: folder to read from.
        keys: what to fetch; entries from `list_files` save a request for each, and pin what they saw.
        target_dir: folder to write to; no key can lead out of it.
        on_progress: called with (files done, files in all) after each file, from this thread.
        stats: what the call cost is added to these.

    Returns:
        The paths, in the order of `keys`.

    Raises:
        UsageError: a key is not safe (raised before anything is fetched), or see the package.
        DataError: a file does not exist.
        ChangedError: a file is no longer as it was listed.
        StorageError: the disk has no room, a transfer failed too often, or what came is not what S3 has.
    """
    root, wanted = parse_uri(uri_prefix), list(keys)
    names = [key if isinstance(key, str) else key.key for key in wanted]
    sources = [root.child(name) for name in names]
    backend = _backend(root)
    entries = _entries(backend, sources, wanted)
    jobs = [Job(source, entry, target_dir / name) for source, entry, name in zip(sources, entries, names, strict=True)]
    spent = TransferStats() if stats is None else stats
    before = TransferStats(spent.files, spent.bytes, spent.cached, spent.retries)
    fetch_all(backend, jobs, open_cache(), spent, on_progress)
    _log.info(
        "%s: %d files fetched (%d bytes, %d requests repeated), %d were there",
        root, spent.files - before.files, spent.bytes - before.bytes, spent.retries - before.retries,
        spent.cached - before.cached,
    )  # fmt: skip
    return [job.target for job in jobs]


def _entries(backend: _Backend, sources: Sequence[Location], wanted: Sequence[str | FileEntry]) -> list[FileEntry]:
    with ThreadPoolExecutor(_SENT_AT_ONCE) as pool:
        unlisted = [source for source, key in zip(sources, wanted, strict=True) if isinstance(key, str)]
        heads = pool.map(backend.head, unlisted)
        return [next(heads) if isinstance(key, str) else key for key in wanted]


def upload_file(path: Path, uri: str, only_if_new: bool = False) -> bool:
    """Puts a local file at `uri`, whole or not at all, in parts where it is large, and verifies what arrived.

    Args:
        path: the file.
        uri: where to.
        only_if_new: put it only where there is nothing yet: of several writers, one wins.

    Returns:
        Whether it was put; False only with `only_if_new`, where somebody else has other content there.

    Raises:
        UsageError, DataError, StorageError: see the package.
    """
    location = parse_uri(uri)
    backend = _backend(location)
    try:
        path.stat()
    except OSError as error:
        raise files.explain_os_error(error, str(path)) from error
    retries = Retries(1)
    if retries.run(lambda: backend.send(path, location, only_if_new)):
        return True
    # The answer to a request that succeeded may have been lost: then what is there is what was sent.
    return retries.made > 0 and _is_same(path, backend.head(location), backend)


def _is_same(path: Path, entry: FileEntry, backend: _Backend) -> bool:
    address = backend.address(entry)
    check = Check("md5")
    return address is not None and address == check.address(check.of_file(path))


def upload_missing(folder: Path, uri: str, names: Sequence[str], on_progress: Progress | None = None) -> UploadStats:
    """Puts the files of a folder below `uri` that are not there yet with the same content, in parallel, verified.

    So a call that was killed goes on where it ended. Only a listing with checksums of the content tells what is there;
    where it tells none, as on a file system, every file is put.

    Args:
        folder: the local folder.
        uri: where to.
        names: the files, relative to the folder.
        on_progress: called with the number of files that are there, and of all, after each.

    Raises:
        UsageError, DataError, StorageError: see the package.
    """
    backend = _backend(parse_uri(uri))
    present = {entry.key: entry for entry in list_files(uri)}

    def put(name: str) -> int:
        path, entry = folder / name, present.get(name)
        size = path.stat().st_size
        if entry is not None and entry.size == size and _is_same(path, entry, backend):
            return 0
        upload_file(path, join(uri, name))
        return 1

    sent = 0
    with ThreadPoolExecutor(_SENT_AT_ONCE) as pool:
        for done, put_now in enumerate(pool.map(put, names), start=1):
            sent += put_now
            if on_progress:
                on_progress(done, len(names))
    return UploadStats(sent=sent, there=len(names) - sent, others=tuple(sorted(present.keys() - set(names))))
