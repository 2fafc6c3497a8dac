from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxwright.errors import UsageError
from boxwright.stack import ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((ports.HOST, 0)) as server:
        yield server.getsockname()[1]


def test_a_variable_moves_its_port_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ports.DEFAULTS:
        monkeypatch.delenv(f"BOXWRIGHT_PORT_{name.upper()}", raising=False)
    monkeypatch.setenv("BOXWRIGHT_PORT_S3", "9000")
    assert ports.configured_ports() == ports.DEFAULTS | {"s3": 9000}


@pytest.mark.parametrize("text", ["http", "80", "-1", "70000", "60000"])
def test_what_is_no_port_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BOXWRIGHT_PORT_S3", text)
    with pytest.raises(UsageError, match=f"BOXWRIGHT_PORT_S3='{text}': expected a port number from 1024 to 55535"):
        ports.configured_ports()


def test_a_taken_port_is_named_with_the_variable_that_moves_it(taken: int) -> None:
    with pytest.raises(UsageError, match=rf"port {taken} \(mlflow\) is taken .* set BOXWRIGHT_PORT_MLFLOW"):
        ports.require_free({"mlflow": taken})


def test_free_ports_are_free_and_different() -> None:
    chosen = ports.free_ports()
    assert chosen.keys() == ports.DEFAULTS.keys()
    assert len(set(chosen.values())) == len(chosen)
    ports.require_free(chosen)


def test_ports_are_read_back_and_damage_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "stack" / "ports.json"
    assert ports.load_ports(path) is None
    ports.save_ports(path, ports.DEFAULTS | {"s3": 1})
    assert ports.load_ports(path) == ports.DEFAULTS | {"s3": 1}
    path.write_text("{")
    assert ports.load_ports(path) is None
