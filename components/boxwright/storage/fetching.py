"""Brings files through the cache of this machine: verified, in parallel, and going on where a killed call ended."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from boxwright.errors import StorageError
from boxwright.storage.cache import Cache, Content
from boxwright.storage.checks import Check, Hasher
from boxwright.storage.connection import CONNECTIONS
from boxwright.storage.file_entry import FileEntry
from boxwright.storage.files import explain_os_error
from boxwright.storage.linking import place, place_cached
from boxwright.storage.location import Location
from boxwright.storage.retry import Retries

RANGE = 8 * 1024 * 1024  # bytes a request: larger files are fetched in ranges
_RANGES_AT_ONCE = 8
_FILES_AT_ONCE = CONNECTIONS - _RANGES_AT_ONCE
_BATCH = 16  # most small files that the cache takes in at once
_PLACINGS = 3  # how often a file is fetched that others drop from the cache before it is at its place

Progress = Callable[[int, int], None]
ReadRange = Callable[[Location, FileEntry, int, int], Any]


class Source(Protocol):
    """A source of files: `boxwright.storage.s3` or `boxwright.storage.files`."""

    def identity(self, location: Location, entry: FileEntry) -> str:
        """Names one content of one file."""

    def address(self, entry: FileEntry) -> str | None:
        """The content address that the listing tells by itself, if it tells one."""

    def check(self, location: Location, entry: FileEntry, doubted: bool = False) -> Check:
        """The expected checksum of the bytes; `doubted` asks again after a mismatch."""

    def reader(self, location: Location) -> ReadRange:
        """A function that reads the bytes [start, stop) of any file of this one's bucket, as listed, into a buffer."""


@dataclass(frozen=True)
class Job:
    """One file to bring: from where, as it was listed, and to where."""

    location: Location
    entry: FileEntry
    target: Path


@dataclass
class TransferStats:
    """The costs of transfers.

    Attributes:
        files: that came over the network, or from another disk.
        bytes: of these.
        cached: files that were in the cache, or at their place, already.
        retries: requests that had to be repeated.
    """

    files: int = 0
    bytes: int = 0
    cached: int = 0
    retries: int = 0


class WrongBytesError(StorageError):
    """The received bytes are not the requested ones."""

    def __init__(self, location: Location) -> None:
        super().__init__(f"{location}: the bytes that came do not have the checksum of the object; run again")


def fetch_all(
    source: Source, jobs: Sequence[Job], cache: Cache, stats: TransferStats, on_progress: Progress | None = None
) -> None:
    """Brings every file to its target; see `boxwright.storage.download`."""
    done, missing = 0, []
    cached: list[str] = []
    # Each is read, to see that it is whole.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        addresses = pool.map(lambda job: _placed_from_cache(source, job, cache), jobs)
        for job, address in zip(jobs, addresses, strict=True):
            if address is None:
                missing.append(job)
                continue
            done += 1
            cached.append(address)
            if on_progress:
                on_progress(done, len(jobs))
    stats.cached += done
    cache.touch(cached)
    if missing:
        _check_space(missing, cache)
        _Fetcher(source, cache, Retries(len(missing)), stats).run(
            missing, lambda count: on_progress(done + count, len(jobs)) if on_progress else None
        )
        cache.trim()


def _placed_from_cache(source: Source, job: Job, cache: Cache) -> str | None:
    """The address of a file that the cache had, and that is now at its place."""
    with _explained(job):
        address = _known_address(source, job, cache)
        return address if address and place_cached(cache, address, job.target) else None


def _known_address(source: Source, job: Job, cache: Cache) -> str | None:
    return source.address(job.entry) or cache.address_of(source.identity(job.location, job.entry))


def _check_space(jobs: Sequence[Job], cache: Cache) -> None:
    coming = sum(job.entry.size for job in jobs)
    cache.trim(coming)
    folder = jobs[0].target.parent
    while not folder.exists():
        folder = folder.parent
    places = {os.stat(cache.folder).st_dev: cache.folder, os.stat(folder).st_dev: folder}
    for disk in places.values():
        free = shutil.disk_usage(disk).free
        if coming > free:
            raise StorageError(
                f"{len(jobs):,} files from {jobs[0].location} on have {coming:,} bytes, and {free:,} are free at "
                f"{disk}; free space, or set BOXWRIGHT_CACHE and BOXWRIGHT_HOME to a larger disk"
            )


class _Fetcher:
    """Fetches what the cache has not."""

    def __init__(self, source: Source, cache: Cache, retries: Retries, stats: TransferStats) -> None:
        self._source, self._cache, self._retries, self._stats = source, cache, retries, stats

    def run(self, jobs: Sequence[Job], on_file: Callable[[int], None]) -> None:
        self._read_range = self._source.reader(jobs[0].location)
        count = 0
        with ThreadPoolExecutor(_RANGES_AT_ONCE) as self._ranges, ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            futures = [pool.submit(self._bring, batch) for batch in _batches(jobs)]
            try:
                for future in as_completed(futures):
                    for size in future.result():
                        self._stats.bytes += size
                        self._stats.files += 1
                        count += 1
                        on_file(count)
            except BaseException:
                self._retries.stop()
                pool.shutdown(cancel_futures=True)
                raise
            finally:
                self._stats.retries += self._retries.made

    def _bring(self, jobs: Sequence[Job]) -> list[int]:
        """Brings files to their places; returns how many bytes came of each."""
        if jobs[0].entry.size > RANGE:
            return [self._bring_large(job) for job in jobs]
        partials = [self._cache.partial / uuid.uuid4().hex for _ in jobs]
        try:
            contents = [self._fetch(job, partial) for job, partial in zip(jobs, partials, strict=True)]
            self._settle(jobs, contents)
        except BaseException:
            for partial in partials:
                partial.unlink(missing_ok=True)
            raise
        return [job.entry.size for job in jobs]

    def _bring_large(self, job: Job) -> int:
        with _explained(job), self._cache.claim(self._source.identity(job.location, job.entry)) as partial:
            # Another process may have fetched it while this one waited.
            address = _known_address(self._source, job, self._cache)
            if address and place_cached(self._cache, address, job.target):
                return 0
            already = partial.stat().st_size if partial.exists() else 0
            self._settle([job], [self._fetch(job, partial)])
            return job.entry.size - already

    def _settle(self, jobs: Sequence[Job], contents: Sequence[Content]) -> None:
        """Gives the cache what was fetched, and brings it from there to its places."""
        left = list(zip(jobs, contents, strict=True))
        for _ in range(_PLACINGS):
            with _explained(left[0][0]):
                try:
                    paths = self._cache.add([content for _, content in left])
                except StorageError as error:  # of the index, which knows no object
                    raise StorageError(f"{left[0][0].location}: {error}") from error
            gone = []
            for (job, content), path in zip(left, paths, strict=True):
                with _explained(job):
                    if not place(path, job.target):
                        gone.append((job, content))
            if not gone:
                return
            # Dropped by another process in between.
            left = [(job, self._fetch(job, content.path)) for job, content in gone]
        raise StorageError(f"{left[0][0].location}: the cache is too small to keep it; raise BOXWRIGHT_CACHE_GB")

    def _fetch(self, job: Job, partial: Path) -> Content:
        """Fetches a file's verified content into `partial`."""
        with _explained(job):
            check = self._retries.run(lambda: self._source.check(job.location, job.entry))
            address = self._retries.run(lambda: self._gather_verified(job, check, partial))
            told = address == self._source.address(job.entry)
            return Content(address, partial, None if told else self._source.identity(job.location, job.entry))

    def _gather_verified(self, job: Job, check: Check, partial: Path) -> str:
        """Gathers a file and returns the address of its content.

        Raises:
            WrongBytesError: it does not have the checksum that S3 has; nothing of it is kept.
        """
        result = self._gather(job, check, partial)
        if check.value is not None and result != check.value:
            # An ETag can look like an MD5 and be none.
            check = self._source.check(job.location, job.entry, doubted=True)
            result = check.of_file(partial)
        if check.value is None and job.location.bucket is not None:
            # A server that knows no checksum at all is asked for the bytes a second time.
            check = Check(check.algorithm, self._read_again(job, check))
        if check.value not in (None, result):
            partial.unlink()
            raise WrongBytesError(job.location)
        return check.address(result)

    def _gather(self, job: Job, check: Check, partial: Path) -> str:
        hasher, size = check.hasher(), job.entry.size
        if size <= RANGE:
            data = self._request(job, 0)
            hasher.update(data)
            partial.write_bytes(data)
            return hasher.result()
        with partial.open("ab+") as file:
            if file.tell() > size:
                file.truncate(0)
            start = _hash_what_is_there(file, hasher)
            for data in self._read(job, start):
                file.write(data)
                hasher.update(data)
        return hasher.result()

    def _read_again(self, job: Job, check: Check) -> str:
        hasher = check.hasher()
        for data in self._read(job, 0):
            hasher.update(data)
        return hasher.result()

    def _read(self, job: Job, start: int) -> Iterator[Any]:
        """The bytes from `start` on, in order; several ranges are under way at a time."""
        coming: deque[Future[Any]] = deque()
        begins = iter(range(start, job.entry.size, RANGE))
        try:
            for begin in begins:
                coming.append(self._ranges.submit(self._request, job, begin))
                if len(coming) == _RANGES_AT_ONCE:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()

    def _request(self, job: Job, begin: int) -> Any:
        end = min(begin + RANGE, job.entry.size)
        return self._retries.run(lambda: self._read_range(job.location, job.entry, begin, end))


def _batches(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Jobs for one thread each: large files one by one, small ones together, up to the bytes of one request.

    The largest come first: none of them is left alone at the end.
    """
    most = min(_BATCH, 1 + len(jobs) // (4 * _FILES_AT_ONCE))  # a few files are for as many threads
    batch: list[Job] = []
    size = 0
    for job in sorted(jobs, key=lambda job: -job.entry.size):
        if batch and (len(batch) == most or size + job.entry.size > RANGE):
            yield batch
            batch, size = [], 0
        batch.append(job)
        size += job.entry.size
    yield batch


def _hash_what_is_there(file: Any, hasher: Hasher) -> int:
    file.seek(0)
    while data := file.read(RANGE):
        hasher.update(data)
    return int(file.tell())


@contextmanager
def _explained(job: Job) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = job.location if error.errno == errno.ENOSPC else job.target
        raise explain_os_error(error, str(name)) from error
