"""The whole local stack as a fixture: real servers on free ports, in a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from components.config import Settings
from components.stack import manager
from components.stack.airflow_client import AirflowClient
from components.stack.environment import Stack, added_environment


@dataclass(frozen=True)
class LiveStack:
    """A stack that runs.

    Attributes:
        home: its `BOXWRIGHT_HOME`.
        env: the variables that lead a process to it.
        stack: addresses, ports and secrets.
        airflow: a client that is logged in as the administrator.
    """

    home: Path
    env: dict[str, str] = field(repr=False)
    stack: Stack
    airflow: AirflowClient

    @property
    def s3_endpoint(self) -> str:
        return self.stack.s3_url

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    """Started once for all live tests, stopped after the last."""
    settings = Settings(home=tmp_path_factory.mktemp("stack").resolve())
    running, _ = manager.up(settings, free_ports=True)
    try:
        yield LiveStack(settings.home, added_environment(running), running, manager.client_of(running))
    finally:
        manager.down(settings)
