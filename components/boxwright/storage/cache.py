"""A content-addressed cache of fetched files on this machine, safe with several threads and processes.

Files lie under the hash of their content, so that the same bytes are kept once, wherever they came from. An SQLite file
beside them knows their sizes, when each was last used, and which source had which content. It says what to look
for; whether a file is still what it was is asked of the file itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from boxwright.config import Settings
from boxwright.errors import StorageError

_INDEX = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS contents (
    address TEXT PRIMARY KEY, size INTEGER NOT NULL, modified INTEGER NOT NULL, used REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS contents_by_use ON contents (used);
CREATE TABLE IF NOT EXISTS sources (identity BLOB PRIMARY KEY, address TEXT NOT NULL) WITHOUT ROWID;
"""
_STALE = 7 * 24 * 3600  # seconds after which what a killed process left half done is given up


def open_cache() -> Cache:
    """The cache of this machine's settings."""
    settings = Settings.from_environment()
    return _open(settings.cache, settings.cache_bytes, os.getpid())


# A connection must not cross a fork.
@lru_cache(maxsize=4)
def _open(folder: Path, limit: int, _process: int) -> Cache:
    return Cache(folder, limit)


@dataclass(frozen=True)
class Content:
    """Verified content that the cache is to take in.

    Attributes:
        address: its hash.
        path: the temporary file that it is in.
        identity: the source that it came from, where the address cannot be known beforehand.
    """

    address: str
    path: Path
    identity: str | None = None


class Cache:
    """The files below one folder.

    Args:
        folder: made where it does not exist; on a local disk, for SQLite's sake.
        limit: bytes to keep; the least recently used go first.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self._limit, self._lock = folder, limit, threading.Lock()
        self.partial = folder / "partial"
        try:
            self.partial.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                folder / "index.sqlite", timeout=60, isolation_level=None, check_same_thread=False
            )
            self._database.executescript(_INDEX)
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"the cache at {folder} cannot be opened ({error}); set BOXWRIGHT_CACHE") from error
        self._forget_stale()

    def _forget_stale(self) -> None:
        for path in self.partial.iterdir():
            try:
                if time.time() - path.stat().st_mtime > _STALE:
                    path.unlink()
            except FileNotFoundError:
                continue

    def path_of(self, address: str) -> Path:
        """The path of content with this address, whether it exists or not."""
        kind, _, value = address.partition("-")
        return Path(self.folder, kind, value[:2], address)

    def address_of(self, identity: str) -> str | None:
        """The content that a source was found to have."""
        row = self._one("SELECT address FROM sources WHERE identity = ?", _key(identity))
        return str(row[0]) if row else None

    def find(self, address: str) -> Path | None:
        """The file with this content, if it is there and unharmed."""
        path = self.path_of(address)
        if not path.exists():
            return None
        with self._lock, self._explained():
            if self._is_unharmed(self._database, address, path):
                return path
        # Changed by somebody through a link to it, or left by a process that was killed before it could say so.
        self.discard(address)
        return None

    @staticmethod
    def _is_unharmed(database: sqlite3.Connection, address: str, path: Path) -> bool:
        try:
            status = path.stat()
        except FileNotFoundError:
            return False
        found = database.execute("SELECT size, modified FROM contents WHERE address = ?", (address,)).fetchone()
        return bool(found == (status.st_size, status.st_mtime_ns))

    def add(self, contents: Sequence[Content]) -> list[Path]:
        """Takes in files, and remembers which sources they came from; all in one transaction, which costs time.

        Returns:
            Where each is kept.
        """
        with self._transaction() as database:
            return [self._add(database, content) for content in contents]

    def _add(self, database: sqlite3.Connection, content: Content) -> Path:
        path = self.path_of(content.address)
        if content.identity:
            source = (_key(content.identity), content.address)
            database.execute("INSERT OR REPLACE INTO sources VALUES (?, ?)", source)
        if self._is_unharmed(database, content.address, path):  # the same bytes, from elsewhere: they are kept once
            content.path.unlink()
            return path
        status = content.path.stat()
        row = (content.address, status.st_size, status.st_mtime_ns, _moment(database))
        database.execute("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?)", row)
        try:
            os.replace(content.path, path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(content.path, path)
        # Not before: what could not be taken in must stay writable, to go on with. It will be linked to from elsewhere.
        path.chmod(0o444)
        return path

    def discard(self, address: str) -> None:
        """Forgets content that is not what its address says."""
        with self._transaction() as database:
            database.execute("DELETE FROM contents WHERE address = ?", (address,))
            self.path_of(address).unlink(missing_ok=True)

    def touch(self, addresses: Iterable[str]) -> None:
        """Notes that content is in use."""
        with self._transaction() as database:
            now = _moment(database)
            database.executemany(
                "UPDATE contents SET used = ? WHERE address = ?", ((now, address) for address in addresses)
            )

    def size(self) -> int:
        """Bytes of all content."""
        row = self._one("SELECT COALESCE(SUM(size), 0) FROM contents")
        return int(str(row[0])) if row else 0

    def trim(self, coming: int = 0) -> None:
        """Drops the least recently used files until the cache, and `coming` bytes more, keep the limit."""
        surplus = self.size() + coming - self._limit
        with self._transaction() as database:
            with closing(database.execute("SELECT address, size FROM contents ORDER BY used")) as rows:
                gone = []
                for address, size in rows:
                    if surplus <= 0:
                        break
                    surplus -= size
                    gone.append(address)
            database.executemany("DELETE FROM contents WHERE address = ?", ((address,) for address in gone))
            database.executemany("DELETE FROM sources WHERE address = ?", ((address,) for address in gone))
            for address in gone:
                self.path_of(address).unlink(missing_ok=True)

    @contextmanager
    def claim(self, identity: str) -> Iterator[Path]:
        """The file in which a source's content is gathered; other processes wait until the block ends."""
        path = self.partial / hashlib.sha256(identity.encode()).hexdigest()
        lock = path.with_suffix(".lock")
        with lock.open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield path

    def _one(self, query: str, *values: object) -> tuple[object, ...] | None:
        with self._lock, self._explained():
            found: tuple[object, ...] | None = self._database.execute(query, values).fetchone()
        return found

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(f"the cache at {self.folder}: {error}; free space, or remove the folder") from error


def _moment(database: sqlite3.Connection) -> float:
    """The time, and later than all that was noted before: a clock that is set back makes no new content old."""
    (last,) = database.execute("SELECT MAX(used) FROM contents").fetchone()
    return max(time.time(), (last or 0.0) + 1e-6)


def _key(identity: str) -> bytes:
    return hashlib.sha256(identity.encode()).digest()
