from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import wait_for

from boxwright.errors import StorageError
from boxwright.postgresql import load_psycopg2
from boxwright.stack import database
from boxwright.stack.database import Engine, answers, choose_engine, notice, prepare_database, server_command
from boxwright.stack.ports import HOST
from boxwright.stack.processes import ProcessTable

PASSWORD = "a-pass_word"
Start = Callable[[], int]


@pytest.fixture
def port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def start(tmp_path: Path, port: int) -> Iterator[Start]:
    """Starts the database server of a stack in `tmp_path`, waits until it answers, and returns its pid."""
    table = ProcessTable(tmp_path)

    def started() -> int:
        prepare_database(tmp_path, PASSWORD)
        pid = table.start("postgres", server_command(tmp_path, port), os.environ)
        wait_for(lambda: answers(port, PASSWORD), "the database answers")
        return pid

    yield started
    table.stop("postgres")


def count(port: int) -> int:
    connection = load_psycopg2().connect(host=HOST, port=port, user="airflow", password=PASSWORD, dbname="airflow")
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS kept (number int); INSERT INTO kept VALUES (1)")
        cursor.execute("SELECT count(*) FROM kept")
        (found,) = cursor.fetchone()
    connection.close()
    return int(found)


def test_it_keeps_what_it_was_told_when_it_is_killed_and_wants_its_password(
    start: Start, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = start()
    monkeypatch.setenv("PGSSLMODE", "require")
    assert answers(port, PASSWORD) and not answers(port, "another")
    monkeypatch.delenv("PGSSLMODE")
    assert count(port) == 1
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    # As after the machine went down: its pid is another program's now.
    lock = database.data_folder(tmp_path) / "postmaster.pid"
    lock.write_text(lock.read_text().replace(str(pid), str(os.getpid()), 1))

    start()

    assert count(port) == 2
    made = [path for path in (tmp_path / "postgres").rglob("*") if path.is_file()]
    assert {path.stat().st_uid for path in made} == {os.getuid()}
    assert not any(path.stat().st_mode & 0o077 for path in made)


def test_a_home_goes_on_with_the_database_that_it_has(tmp_path: Path) -> None:
    assert (choose_engine(tmp_path), notice(tmp_path)) == (Engine.POSTGRESQL, None)
    old = tmp_path / "airflow" / "airflow.db"
    old.parent.mkdir()
    old.touch()
    assert choose_engine(tmp_path) is Engine.SQLITE
    assert database.database_url(tmp_path, 1, PASSWORD) == f"sqlite:///{old}?timeout=60"
    assert "move that file away" in str(notice(tmp_path)) and str(old) in str(notice(tmp_path))
    database.note_tables(tmp_path, "3.3.2")
    assert database.tables_version(tmp_path) == "3.3.2"
    old.unlink()
    assert database.tables_version(tmp_path) is None
    assert database.database_url(tmp_path, 1, PASSWORD) == f"postgresql+psycopg2://airflow:{PASSWORD}@{HOST}:1/airflow"


def test_without_postgresql_the_line_says_why(tmp_path: Path) -> None:
    """In a process of its own: a root without user namespaces, and nobody else has the program."""
    (tmp_path / "unshare").write_text("#!/bin/sh\necho 'unshare: Operation not permitted' >&2; exit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    code = (
        "import os; from pathlib import Path; from boxwright.stack import database as d; os.geteuid = lambda: 0; "
        f"folder = Path({str(tmp_path)!r}); print(d.choose_engine(folder), d.notice(folder))"
    )
    environment = os.environ | {"PATH": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.startswith("SQLite Airflow's state is in SQLite, since PostgreSQL cannot run here"), done.stderr
    assert "(unshare: Operation not permitted)" in done.stdout and "may fail with 'database is locked'" in done.stdout


def test_data_that_cannot_be_made_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_INITDB", (*database._INITDB, "--locale=nowhere"))
    with pytest.raises(StorageError, match=r"cannot be made: .*nowhere.*create the empty file .*airflow\.db"):
        prepare_database(tmp_path, PASSWORD)
    assert not database.data_folder(tmp_path).exists()
