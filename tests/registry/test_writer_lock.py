"""Writers of one registry wait for each other: those of one home, and those that share ML Metadata's server."""

from __future__ import annotations

from pathlib import Path

import pytest
from postgres_server import Postgres

from boxwright.config import MetadataAddress
from boxwright.errors import StorageError
from boxwright.metadata.tables import make_tables
from boxwright.registry.writer_lock import WriterLock

URI = "http://mlflow.example:5000"


@pytest.fixture(params=["homes that share a server", "one home"])
def homes(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    monkeypatch.delenv("BOXWRIGHT_METADATA_URI", raising=False)
    if request.param == "one home":
        return tmp_path, tmp_path
    uri = postgres.new_database()
    make_tables(MetadataAddress.parse(uri))
    monkeypatch.setenv("BOXWRIGHT_METADATA_URI", uri)
    return tmp_path / "one", tmp_path / "two"


def test_one_writes_at_a_time(homes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    locks = []
    for home in homes:
        monkeypatch.setenv("BOXWRIGHT_HOME", str(home))
        locks.append(WriterLock(URI, seconds=0.5))
    other = WriterLock("http://another.example:5000", seconds=0.5)
    first, second = locks
    with first, other:
        with pytest.raises(StorageError, match="end it if it hangs"), second:
            pytest.fail("two write")
    with second:
        pass
    with first, pytest.raises(ZeroDivisionError):
        raise ZeroDivisionError
    with second:
        pass
