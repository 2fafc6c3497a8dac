"""The state of each service of a stack, for people."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import psutil

from boxwright.stack import supervisor
from boxwright.stack.environment import Stack
from boxwright.stack.processes import ProcessTable
from boxwright.stack.services import Service, services_of
from boxwright.stack.supervision import Account, Phase

# Seconds in which a service that runs is expected to become ready, on a machine that does much else.
START_SECONDS = 240.0


class Health(StrEnum):
    """The health of a service.

    `STARTING` runs and is not ready yet; `RUNNING` runs, and the api-server, which knows more, is not ready;
    `NOT_READY` runs, and should be ready by now; `RESTARTING` died, or waits for what it needs; `DEAD` died and is not
    started again; `STOPPED` is not meant to run.
    """

    READY = "ready"
    STARTING = "starting"
    RUNNING = "running"
    NOT_READY = "not ready"
    RESTARTING = "restarting"
    DEAD = "dead"
    STOPPED = "stopped"


@dataclass(frozen=True)
class State:
    """The state of one service.

    Attributes:
        name: of the service.
        health: what one can expect of it.
        pid: of its process; None where there is none.
        since: since when it runs, or is restarting or dead; None if it is stopped.
        restarts: how often it was started again since `up`.
        line: the last line of its log; an error where there is one near the end.
        log: path of its log.
    """

    name: str
    health: Health
    pid: int | None
    since: datetime | None
    restarts: int
    line: str
    log: Path

    @property
    def ready(self) -> bool:
        """Whether it does its work."""
        return self.health is Health.READY

    def facts(self) -> dict[str, str | int | None]:
        """The state as JSON values."""
        return {
            "name": self.name,
            "state": self.health,
            "pid": self.pid,
            "since": self.since.isoformat(timespec="seconds") if self.since else None,
            "restarts": self.restarts,
            "last_line": self.line,
            "log": str(self.log),
        }


def states_of(stack: Stack) -> list[State]:
    """The state of every service, and of the supervisor at the end."""
    table = ProcessTable(stack.folder)
    accounts = supervisor.accounts_of(stack.folder).read()
    watched = table.find(supervisor.NAME)
    ready: set[str] = set()
    found = []
    for service in services_of(stack):
        account, process = accounts.get(service.name), table.find(service.name)
        if process is None:
            health = _health_without_process(account, watched is not None)
        else:
            health = _health(stack, service, process, ready)
        if health is Health.READY:
            ready.add(service.name)
        found.append(_state(table, service.name, health, process, account))
    health = Health.READY if watched else Health.DEAD if accounts else Health.STOPPED
    return [*found, _state(table, supervisor.NAME, health, watched, None)]


def _health(stack: Stack, service: Service, process: psutil.Process, ready: Collection[str]) -> Health:
    if service.seen_by is not None and service.seen_by not in ready:
        return Health.RUNNING
    if service.ready(stack):
        return Health.READY
    return Health.STARTING if time.time() - process.create_time() < START_SECONDS else Health.NOT_READY


def _health_without_process(account: Account | None, watched: bool) -> Health:
    if account is None:
        return Health.STOPPED
    return Health.RESTARTING if watched and account.phase is not Phase.DEAD else Health.DEAD


def _state(
    table: ProcessTable, name: str, health: Health, process: psutil.Process | None, account: Account | None
) -> State:
    since = process.create_time() if process else account.since if account else None
    return State(
        name=name,
        health=health,
        pid=process.pid if process else None,
        since=datetime.fromtimestamp(since, UTC) if since is not None else None,
        restarts=account.restarts if account else 0,
        line=table.last_line(name),
        log=table.log_path(name),
    )
