"""A real PostgreSQL server on a free port in a temporary folder, for tests: the one that a stack runs."""

from __future__ import annotations

import os
import signal
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boxwright.config import MetadataAddress
from boxwright.postgresql import load_psycopg2
from boxwright.stack.database import NAME, answers, prepare_database, server_command
from boxwright.stack.ports import HOST
from boxwright.stack.processes import ProcessTable

PASSWORD = "a-pass_word/of:tests"
SECONDS = 120


@dataclass
class Postgres:
    """A server.

    Attributes:
        folder: of its data.
        port: on which it listens.
    """

    folder: Path
    port: int
    made: int = field(default=0, repr=False)

    def start(self) -> None:
        """Starts it, unless it runs, and waits until it answers."""
        prepare_database(self.folder, PASSWORD)
        ProcessTable(self.folder).start("postgres", server_command(self.folder, self.port), os.environ)
        deadline = time.monotonic() + SECONDS
        while not answers(self.port, PASSWORD):
            assert time.monotonic() < deadline, f"waited {SECONDS} s for PostgreSQL"
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends it as a restart does: all sessions are cut off."""
        process = ProcessTable(self.folder).find("postgres")
        assert process
        # As `pg_ctl stop` does: SIGTERM would wait until its users have gone.
        process.send_signal(signal.SIGINT)
        process.wait(SECONDS)

    def new_database(self) -> str:
        """The URI of a database that is not there yet."""
        self.made += 1
        password = PASSWORD.replace("/", "%2F").replace(":", "%3A")
        return f"postgresql://{NAME}:{password}@{HOST}:{self.port}/metadata_{self.made}"

    def query(self, uri: str, statement: str) -> list[Any]:
        """The rows of a statement, as the owner of the database."""
        made = load_psycopg2().connect(**MetadataAddress.parse(uri).server)
        made.autocommit = True
        with made.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
        made.close()
        return rows


def start(folder: Path) -> Postgres:
    """A server that answers."""
    with socket.create_server((HOST, 0)) as probe:
        port = int(probe.getsockname()[1])
    server = Postgres(folder, port)
    server.start()
    return server
