"""A database of ML Metadata as it stands, and the workers that use it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from boxwright.config import MetadataAddress
from boxwright.metadata import server
from boxwright.metadata.tables import doubled, lacking

# A worker that has done no step for longer counts as gone.
REMEMBERED = "1 day"


@dataclass(frozen=True)
class Worker:
    """A machine that does steps.

    Attributes:
        host: its name.
        home: its `BOXWRIGHT_HOME`.
        version: of Boxwright.
        root: its `BOXWRIGHT_PIPELINE_ROOT`, where it has one.
    """

    host: str
    home: str
    version: str
    root: str | None


@dataclass(frozen=True)
class Database:
    """The state of a database.

    Attributes:
        lacking: tables that are missing; with any of them nothing else is known.
        doubled: types that are there more than once.
        workers: those that have done a step within a day.
        now: the server's clock, in seconds since 1970.
    """

    lacking: list[str]
    doubled: list[str]
    workers: list[Worker]
    now: float


def look_at_database(address: MetadataAddress) -> Database:
    """Looks at a PostgreSQL database, and changes nothing.

    Raises:
        UsageError, StorageError: see `server.connect`.
    """
    with server.session(address) as made, made.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        now = float((cursor.fetchone() or (0,))[0])
        missing = lacking(made)
        if missing:
            return Database(missing, [], [], now)
        cursor.execute(
            "SELECT host, home, version, root FROM boxwright_worker "
            "WHERE seen > clock_timestamp() - %s::interval ORDER BY host, home",
            (REMEMBERED,),
        )
        return Database([], doubled(made), [Worker(*row) for row in cursor.fetchall()], now)


def note_worker(address: MetadataAddress, home: Path, version: str, root: str | None) -> None:
    """Notes that this machine does steps, for `boxwright doctor` to read.

    Raises:
        UsageError, StorageError: see `server.connect`.
    """
    with server.session(address) as made, made.cursor() as cursor:
        cursor.execute(
            "INSERT INTO boxwright_worker (host, home, version, root, seen) "
            "VALUES (%s, %s, %s, %s, clock_timestamp()) ON CONFLICT (host, home) DO UPDATE SET "
            "version = excluded.version, root = excluded.root, seen = excluded.seen",
            (socket.gethostname(), str(home), version, root),
        )
