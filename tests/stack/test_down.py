"""Stopping a stack, where the stack of another home has its ports by now."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from boxwright.config.settings import Settings
from boxwright.stack import manager
from boxwright.stack.ports import VARIABLE, free_ports
from boxwright.stack.services import SERVICES

(SEAWEED,) = (service for service in SERVICES if service.name == "s3")


def test_the_sockets_of_another_homes_stack_stay_and_what_a_dead_one_left_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, port in free_ports().items():
        monkeypatch.setenv(f"{VARIABLE}{name.upper()}", str(port))
    settings = Settings(home=tmp_path)
    alive, dead, *_ = SEAWEED.leaves(manager.find_stack(settings))
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(str(dead))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(alive))
        server.listen()
        try:
            assert manager.down(settings) == []
            assert alive.exists() and not dead.exists()
        finally:
            alive.unlink(missing_ok=True)
            dead.unlink(missing_ok=True)
    assert manager.down(settings) == []
