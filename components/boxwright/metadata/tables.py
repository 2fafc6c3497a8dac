"""The tables of ML Metadata's store and Boxwright's beside them, made by one process at a time.

ML Metadata on PostgreSQL accepts two types of one name, and two clients that register types at once create them: TFX
then finds no inputs, and skips steps without a word. So types are registered under the lock under which tables are
created, and a unique index refuses duplicates.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxwright.config import MetadataAddress
from boxwright.errors import StorageError
from boxwright.metadata import server
from boxwright.metadata.store import new_store
from boxwright.postgresql import load_psycopg2

if TYPE_CHECKING:
    from boxwright.postgresql import Connection

_log = logging.getLogger(__name__)

_INDEX = "boxwright_one_type"
_OWN = (
    "CREATE TABLE IF NOT EXISTS boxwright_lease (run text, step text, token text NOT NULL, holder text NOT NULL, "
    "process text NOT NULL, began timestamptz NOT NULL, until timestamptz NOT NULL, PRIMARY KEY (run, step))",
    "CREATE TABLE IF NOT EXISTS boxwright_worker (host text, home text, version text NOT NULL, "
    "root text, seen timestamptz NOT NULL, PRIMARY KEY (host, home))",
    "CREATE TABLE IF NOT EXISTS boxwright_store (id text PRIMARY KEY)",
    "INSERT INTO boxwright_store SELECT left(md5(random()::text || clock_timestamp()::text), 8) "
    "WHERE NOT EXISTS (SELECT FROM boxwright_store)",
)
_KINDS = ("execution", "artifact", "context")


@dataclass(frozen=True)
class Types:
    """Types of ML Metadata, each as its protobuf message."""

    artifacts: Sequence[Any]
    executions: Sequence[Any]
    contexts: Sequence[Any]


def make_tables(address: MetadataAddress) -> None:
    """Makes database and tables as far as they are not there; any number of processes may call it at once.

    Raises:
        UsageError: the log-in is wrong or may not.
        StorageError: the server or file cannot be used, or types are doubled.
    """
    if address.path is not None:
        address.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone_with_file(address.path):
            if _is_empty(address.path):
                _log.warning(
                    "%s is empty, and a new store of ML Metadata begins in it. If it had the lineage of earlier runs, "
                    "put its backup in its place",
                    address.path,
                )
            new_store(address)
        return
    server.make_database(address)
    with server.alone(address) as made:
        if lacking(made):
            server.require_rights(made, address)
            new_store(address)
            _refuse_doubles(made, address)
    require_tables.cache_clear()


@cache
def require_tables(address: MetadataAddress) -> None:
    """Makes the tables where they are missing; asked once in a process.

    Raises:
        UsageError, StorageError: see `make_tables`.
    """
    if address.path is not None:
        if not address.path.exists() or _is_empty(address.path):
            make_tables(address)
        return
    try:
        with server.session(address) as made:
            missing = bool(lacking(made))
    except server.MissingDatabaseError:
        missing = True
    if missing:
        make_tables(address)


def _is_empty(path: Path) -> bool:
    """Whether a file is there that has nothing: cut off, or left by a process that was killed while it made it."""
    return path.exists() and path.stat().st_size == 0


@cache
def store_id(address: MetadataAddress) -> str:
    """An id that keeps the numbers of several stores in one home apart; empty for a SQLite file.

    Raises:
        UsageError, StorageError: the server cannot be asked.
    """
    if address.path is not None:
        return ""
    require_tables(address)
    with server.session(address) as made, made.cursor() as cursor:
        cursor.execute("SELECT id FROM boxwright_store")
        return str((cursor.fetchone() or ("",))[0])


def lacking(made: Connection) -> list[str]:
    """The tables and indices that a database lacks."""
    names = ("mlmdenv", "type", "boxwright_lease", "boxwright_worker", "boxwright_store", _INDEX)
    with made.cursor() as cursor:
        cursor.execute("SELECT name FROM unnest(%s) AS name WHERE to_regclass(name) IS NULL", (list(names),))
        return [name for (name,) in cursor.fetchall()]


def doubled(made: Connection) -> list[str]:
    """Types that are there more than once, as `artifact type NAME`."""
    with made.cursor() as cursor:
        cursor.execute(
            "SELECT type_kind, name FROM type GROUP BY type_kind, name, coalesce(version, '') HAVING count(*) > 1"
        )
        return [f"{_KINDS[kind]} type {name}" for kind, name in cursor.fetchall()]


def _refuse_doubles(made: Connection, address: MetadataAddress) -> None:
    errors = load_psycopg2().errors
    with made.cursor() as cursor:
        for statement in _OWN:
            cursor.execute(statement)
        try:
            cursor.execute(
                f"CREATE UNIQUE INDEX IF NOT EXISTS {_INDEX} ON type (type_kind, name, coalesce(version, ''))"
            )
        except errors.UniqueViolation:
            raise StorageError(
                f"{address}: ML Metadata has {', '.join(doubled(made)[:5])} more than once, so that steps would be "
                "skipped: restore the database, or begin with an empty one"
            ) from None


def register_types(address: MetadataAddress, types: Types) -> None:
    """Registers the types that the store lacks, or that lack a property; any number of processes may call it at once.

    Raises:
        UsageError, StorageError: see `make_tables`; or the store has a type with another kind of property.
    """
    require_tables(address)
    if not _missing(new_store(address), types):
        return
    with _alone(address):
        store = new_store(address)
        for kind, one in _missing(store, types):
            getattr(store, f"put_{kind}_type")(one, can_add_fields=True, can_omit_fields=True)


def _missing(store: Any, types: Types) -> list[tuple[str, Any]]:
    found = []
    for kind, wanted in (("artifact", types.artifacts), ("execution", types.executions), ("context", types.contexts)):
        known = {one.name: set(one.properties) for one in getattr(store, f"get_{kind}_types")()}
        found += [
            (kind, one)
            for one in wanted
            if not set(one.properties) <= known.get(one.name, set()) or one.name not in known
        ]
    return found


@contextmanager
def _alone(address: MetadataAddress) -> Iterator[None]:
    if address.path is not None:
        with _alone_with_file(address.path):
            yield
    else:
        with server.alone(address):
            yield


@contextmanager
def _alone_with_file(path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = path.parent / "locks" / f"{path.name}.lock"
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=server.LOCK_SECONDS):
            yield
    except Timeout as error:
        raise StorageError(
            f"another process held {error.lock_file} for {server.LOCK_SECONDS} s; end it if it hangs, then run again"
        ) from None
