"""Brings the local stack up and down, and says what of it runs."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO

from boxwright.airflow_api import AirflowClient
from boxwright.config import Settings
from boxwright.errors import StorageError
from boxwright.pipeline import GPU_POOL
from boxwright.stack import ports as ports_module
from boxwright.stack.database import note_tables, prepare_database, tables_version
from boxwright.stack.environment import (
    ADMIN,
    Stack,
    open_stack,
    require_checkout,
    stack_environment,
    write_files,
)
from boxwright.stack.processes import PRIVATE, ProcessTable
from boxwright.stack.services import DATABASE, SERVICES, Service, migrate_command, services_of
from boxwright.storage import explain_os_error

START_TIMEOUT = 240.0
POLL = 0.25
GPU_SLOTS = 1

OnReady = Callable[[str, float], None]


@dataclass(frozen=True)
class State:
    """The state of one service: its pid (None: not running), whether it does its work, the path of its log."""

    name: str
    pid: int | None
    ready: bool
    log: Path


def find_stack(settings: Settings) -> Stack:
    """The stack of this home with the ports it was last started with, or those of the environment.

    Raises:
        UsageError: if a `BOXWRIGHT_PORT_` variable holds no port number.
    """
    ports = ports_module.load_ports(_ports_path(settings)) or ports_module.configured_ports()
    return open_stack(settings, ports)


def up(settings: Settings, *, free_ports: bool = False, on_ready: OnReady | None = None) -> tuple[Stack, list[str]]:
    """Starts every service that does not run yet and returns when all of them do their work.

    Args:
        settings: names the home that holds the stack's state.
        free_ports: take any free ports, not the configured ones; a stack that runs keeps its own.
        on_ready: called with name and seconds since the start, for each service as it becomes ready.

    Returns:
        The stack, and the names of the services that this call started.

    Raises:
        UsageError: if a port is taken by another program, or this is no checkout.
        StorageError: if a service ends or does not become ready; what this call started is stopped again.
    """
    require_checkout()
    with _locked(settings):
        stack, table = _choose_stack(settings, free_ports)
        services = services_of(stack)
        missing = [service for service in services if table.find(service.name) is None]
        # One that died may have left children, which hold its ports and go on with its work.
        _stop(table, [service.name for service in missing])
        ports_module.require_free({name: stack.ports[name] for service in missing for name in service.ports})
        ports_module.save_ports(_ports_path(settings), stack.ports)
        write_files(stack)
        started = [service.name for service in missing]
        try:
            _start(stack, table, missing)
            _wait_ready(stack, table, services, on_ready or (lambda name, seconds: None))
            client_of(stack).ensure_pool(GPU_POOL, GPU_SLOTS, "One training at a time on the accelerator.")
        except BaseException:
            _stop(table, started)
            raise
    return stack, started


def down(settings: Settings, names: Collection[str] | None = None) -> list[str]:
    """Stops services; all of them unless `names` says which. Their data stays.

    Returns:
        The names of those that were running.
    """
    with _locked(settings):
        return _stop(ProcessTable(settings.home / "stack"), names)


def status(settings: Settings) -> list[State]:
    """Process and readiness of every service."""
    stack = find_stack(settings)
    table = ProcessTable(stack.folder)
    services = services_of(stack)
    found = {service.name: table.find(service.name) for service in services}
    return [
        State(
            service.name,
            process.pid if (process := found[service.name]) else None,
            found[service.name] is not None and service.ready(stack),
            table.log_path(service.name),
        )
        for service in services
    ]


def client_of(stack: Stack) -> AirflowClient:
    """A client that logs in to the stack's Airflow as its administrator."""
    return AirflowClient(stack.airflow_url, ADMIN, stack.password)


def _choose_stack(settings: Settings, free_ports: bool) -> tuple[Stack, ProcessTable]:
    table = ProcessTable(settings.home / "stack")
    running = any(table.find(service.name) for service in SERVICES)
    stored = ports_module.load_ports(_ports_path(settings)) if running else None
    choose = ports_module.free_ports if free_ports else ports_module.configured_ports
    return open_stack(settings, stored or choose()), table


def _start(stack: Stack, table: ProcessTable, missing: list[Service]) -> None:
    """Starts services; those that need Airflow's tables when the database has them."""
    environment = stack_environment(stack, os.environ)
    for service in missing:
        if service.name == DATABASE:
            prepare_database(stack.folder, stack.secrets["postgres_password"])
        if not service.migrates:
            table.start(service.name, service.command(stack), service.environment(environment))
    later = [service for service in missing if service.migrates]
    if later:
        database = [service for service in services_of(stack) if service.name == DATABASE]
        _wait_ready(stack, table, database, lambda name, seconds: None)
        _migrate(stack, table, environment)
    for service in later:
        table.start(service.name, service.command(stack), service.environment(environment))


def _migrate(stack: Stack, table: ProcessTable, environment: dict[str, str]) -> None:
    """Gives the database the tables of this Airflow, unless it has them."""
    current = version("apache-airflow-core")
    if tables_version(stack.folder) == current:
        return
    log = table.log_path("migrate")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        log.chmod(0o600)
        done = subprocess.run(
            migrate_command(), env=environment, stdout=output, stderr=subprocess.STDOUT, umask=PRIVATE
        )
    if done.returncode != 0:
        raise StorageError(f"airflow db migrate failed: {table.last_line('migrate')}; see {log}")
    note_tables(stack.folder, current)


def _wait_ready(stack: Stack, table: ProcessTable, services: Iterable[Service], on_ready: OnReady) -> None:
    begin = time.monotonic()
    pending = list(services)
    while pending:
        for service in list(pending):
            if service.ready(stack):
                pending.remove(service)
                on_ready(service.name, time.monotonic() - begin)
            elif table.find(service.name) is None:
                line, log = table.last_line(service.name), table.log_path(service.name)
                raise StorageError(f"{service.name} ended while starting: {line}; see {log}")
        if pending and time.monotonic() - begin > START_TIMEOUT:
            names = ", ".join(service.name for service in pending)
            raise StorageError(f"{names}: not ready after {START_TIMEOUT:.0f} s; see {table.home / 'logs'}")
        if pending:
            time.sleep(POLL)


def _stop(table: ProcessTable, names: Collection[str] | None) -> list[str]:
    """Stops services side by side; the database after those that use it."""
    wanted = [service for service in SERVICES if names is None or service.name in names]
    stopped: set[str] = set()
    for last in (False, True):
        group = [service for service in wanted if (service.name == DATABASE) is last]
        with ThreadPoolExecutor(max_workers=len(SERVICES)) as pool:
            running = pool.map(lambda service: table.stop(service.name, service.grace), group)
            stopped |= {service.name for service, was_running in zip(group, running, strict=True) if was_running}
    return [service.name for service in wanted if service.name in stopped]


def _ports_path(settings: Settings) -> Path:
    return settings.home / "stack" / "ports.json"


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """One command at a time changes a stack; a second one waits. What it makes is its owner's alone."""
    folder = settings.home / "stack"
    before = os.umask(PRIVATE)
    try:
        with _private_lock(settings.home, folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    finally:
        os.umask(before)


def _private_lock(home: Path, folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for own in (home, folder):
            own.chmod(0o700)
        return (folder / "lock").open("w")
    except OSError as error:
        raise explain_os_error(error, str(folder)) from error
