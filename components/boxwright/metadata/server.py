"""The PostgreSQL server that may hold ML Metadata, as far as ML Metadata's own client does not handle it.

That client creates tables when it first connects, and reports every failure alike. So the database is created here, by
one process at a time, and the reason why a server cannot be used is found here. Parameters are those of libpq.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxwright.config import METADATA_URI, MetadataAddress
from boxwright.errors import StorageError, UsageError, shorten
from boxwright.postgresql import load_psycopg2

if TYPE_CHECKING:
    from boxwright.postgresql import Connection

# Seconds until a server that does not answer counts as away, and to wait for another process that creates tables.
CONNECT_TIMEOUT = 10
LOCK_SECONDS = 120
# A connection whose other end is gone is noticed within half a minute, whatever the system's own patience is.
_ALIVE = {
    "keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 25000
}  # fmt: skip
# The number of the advisory lock under which tables and types are created.
_LOCK = 0x626F7877
_LOGIN_SIGNS = ("authentication failed", "no password supplied", "pg_hba.conf", 'role "')
_TLS_SIGNS = ("certificate", "SSL", "sslmode")


def connect(address: MetadataAddress, name: str = "boxwright", database: str | None = None) -> Connection:
    """A connection in which each statement is a transaction of its own.

    Args:
        address: of the server.
        name: of the connection, at the server.
        database: in place of the address's own.

    Raises:
        UsageError: the log-in, the database or the options are wrong.
        StorageError: the server cannot be reached.
    """
    psycopg2 = load_psycopg2()
    _check_password_file(address)
    given: dict[str, Any] = {**_ALIVE, **address.server, **({"dbname": database} if database else {})}
    try:
        made = psycopg2.connect(**given, connect_timeout=CONNECT_TIMEOUT, application_name=name)
    except psycopg2.OperationalError as error:
        raise _explained(address, database, str(error)) from None
    made.autocommit = True
    return made


@contextmanager
def session(address: MetadataAddress, name: str = "boxwright", database: str | None = None) -> Iterator[Connection]:
    """A connection that is closed at the end of the block; a failure of the server meanwhile is a StorageError."""
    psycopg2 = load_psycopg2()
    made = connect(address, name, database)
    try:
        yield made
    except psycopg2.Error as error:
        line = shorten(" ".join(str(error).split()), 240)
        raise StorageError(f"{address} of ML Metadata did not do what was asked: {line}; run again") from error
    finally:
        made.close()


@cache
def password_through_tls(address: MetadataAddress) -> str | None:
    """The password, whichever source it has, if the connection uses TLS; None if it does not.

    Raises:
        UsageError, StorageError: see `connect`.
    """
    if address.server.get("sslmode") == "disable":
        return None
    with session(address) as made:
        return str(made.info.password or "") if made.info.ssl_in_use else None


def _check_password_file(address: MetadataAddress) -> None:
    """Refuses a password file that libpq would ignore with a warning that nobody sees."""
    if (text := address.server.get("passfile")) is None:
        return
    path = Path(text)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise UsageError(f"{METADATA_URI}: passfile={path} is not a file that this user can read")
    if path.stat().st_mode & 0o077:
        raise UsageError(
            f"{METADATA_URI}: passfile={path} is open to others, so libpq does not use it: chmod 600 {path}"
        )


def _explained(address: MetadataAddress, database: str | None, said: str) -> StorageError | UsageError:
    line = shorten(" ".join(said.split()), 240)
    name = database or address.server["dbname"]
    if f'database "{name}" does not exist' in said:
        return MissingDatabaseError(f"{address}: there is no database {name}; `boxwright db init` makes it")
    if any(sign in said for sign in _LOGIN_SIGNS):
        return UsageError(f"{address} does not let this log-in in: {line}; correct {METADATA_URI} or its passfile")
    if any(sign in said for sign in _TLS_SIGNS):
        return UsageError(f"{address} and the TLS options of {METADATA_URI} do not fit: {line}")
    return StorageError(
        f"{address} of ML Metadata does not answer: {line}; start it or mend the way to it, then run again"
    )


class MissingDatabaseError(UsageError):
    """The server is there, and the database is not."""


@contextmanager
def alone(address: MetadataAddress, what: str = "", seconds: float = LOCK_SECONDS) -> Iterator[Connection]:
    """Holds a lock of the database, so that one process at a time does this; it ends with its process.

    Args:
        address: of the database.
        what: what is done; the creation of tables and types if empty.
        seconds: to wait for another process.

    Raises:
        StorageError: another process still holds it after that.
    """
    errors = load_psycopg2().errors
    key = int.from_bytes(sha256(what.encode()).digest()[:7]) if what else _LOCK
    with session(address) as made:
        with made.cursor() as cursor:
            cursor.execute("SET lock_timeout = %s", (int(seconds * 1000),))
            try:
                cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
            except errors.LockNotAvailable:
                raise StorageError(
                    f"{address}: another process held the lock for {what or 'creating tables'} for {seconds:g} s; see "
                    "pg_locks for who holds an advisory lock, end it if it hangs, then run again"
                ) from None
        yield made


def make_database(address: MetadataAddress) -> bool:
    """Makes the database where there is none.

    Returns:
        Whether it was made now.

    Raises:
        UsageError: the log-in may not.
        StorageError: the server cannot be reached.
    """
    psycopg2 = load_psycopg2()
    errors, sql = psycopg2.errors, psycopg2.sql
    try:
        connect(address).close()
    except MissingDatabaseError:
        pass
    else:
        return False
    name, user = address.server["dbname"], address.server["user"]
    try:
        with session(address, database="postgres") as there, there.cursor() as cursor:
            # In the database that all who make one are connected to, a lock keeps them apart.
            cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except StorageError as error:
        if isinstance(error.__cause__, errors.DuplicateDatabase):
            return False
        if not isinstance(error.__cause__, errors.InsufficientPrivilege):
            raise
        raise UsageError(
            f"{address}: there is no database {name}, and {user} may not make one; an administrator does: "
            f'CREATE DATABASE "{name}" OWNER "{user}"'
        ) from None
    return True


def require_rights(made: Connection, address: MetadataAddress) -> None:
    """Checks that this log-in may make tables.

    Raises:
        UsageError: it may not.
    """
    with made.cursor() as cursor:
        cursor.execute("SELECT current_schema(), has_schema_privilege(current_schema(), 'CREATE')")
        (schema, may) = cursor.fetchone() or (None, None)
    if not may:
        user = address.server["user"]
        raise UsageError(
            f"{address}: {user} may not make tables in the schema {schema or 'public'}; an administrator lets it: "
            f'GRANT CREATE, USAGE ON SCHEMA {schema or "public"} TO "{user}"'
        )
