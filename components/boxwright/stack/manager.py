"""Starts and stops the local stack, and reports its state."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from boxwright.airflow_api import DAG_ID, VARIABLES, AirflowClient
from boxwright.config import MetadataAddress, Settings
from boxwright.errors import StorageError
from boxwright.metadata import make_database
from boxwright.pipeline import GPU_POOL
from boxwright.stack import ports as ports_module
from boxwright.stack import supervisor
from boxwright.stack.cluster import MLFLOW, TUNING, WORKERS, become_cluster
from boxwright.stack.database import note_tables, tables_version
from boxwright.stack.environment import (
    ADMIN,
    RESULTS,
    Stack,
    find_stack,
    open_stack,
    ports_path,
    require_checkout,
    stack_environment,
    write_files,
)
from boxwright.stack.processes import PRIVATE, ProcessTable, kill
from boxwright.stack.services import BROKER, DATABASE, SERVICES, Service, airflow_version, migrate_command, services_of
from boxwright.stack.state import START_SECONDS, State, states_of
from boxwright.stack.supervision import Phase
from boxwright.storage import explain_os_error

POLL = 0.25
# Seconds in which a service that runs for long has to show that it is ready, before it is started anew.
LAST_CHANCE = 15.0

OnReady = Callable[[str, float], None]


def up(
    settings: Settings, *, free_ports: bool = False, several: bool = False, on_ready: OnReady | None = None
) -> tuple[Stack, list[str]]:
    """Starts every service that does not run yet, and returns when all of them are ready.

    A service that was given up is tried again, one that runs and should be ready but is not is restarted, and the rest
    is left alone.

    Args:
        settings: names the home that holds the stack's state.
        free_ports: take any free ports, not the configured ones; a stack that runs keeps its own.
        several: make it one that stands for several machines, with Redis and two of Celery's workers.
        on_ready: called with name and seconds since the start, for each service as it becomes ready.

    Returns:
        The stack, and the names of the services that did not run.

    Raises:
        UsageError: if a port is taken by another program, this is not a checkout, or a cluster's programs are missing.
        StorageError: if a service dies again and again or does not become ready. If no service ran before the call,
            none does after it.
    """
    require_checkout()
    with _locked(settings):
        if several:
            become_cluster(settings)
        stack, table = _choose_stack(settings, free_ports)
        supervisor.stop(stack.folder)
        services = services_of(stack)
        missing = [service for service in services if table.find(service.name) is None]
        # One that died may have left children, which hold its ports.
        _stop(table, [service for service in missing if not service.keeps_work])
        ports_module.require_free({name: stack.ports[name] for service in missing for name in service.ports})
        ports_module.save_ports(ports_path(settings), stack.ports)
        write_files(stack)
        try:
            _start(stack, table, on_ready or (lambda name, seconds: None))
            _furnish(client_of(stack), len(WORKERS) if stack.cluster else 1)
        except BaseException:
            if len(missing) == len(services):
                _end(stack, table)
            raise
    return stack, [service.name for service in missing]


def down(settings: Settings) -> list[str]:
    """Stops all services, with whatever they have started. Their data stays.

    Returns:
        The names of those that were running.
    """
    with _locked(settings):
        stack = find_stack(settings)
        return _end(stack, ProcessTable(stack.folder))


def status(settings: Settings) -> list[State]:
    """The state of every service, and of the supervisor at the end."""
    return states_of(find_stack(settings))


def is_running(settings: Settings) -> bool:
    """Whether a service of the stack runs."""
    table = ProcessTable(settings.home / "stack")
    return any(table.find(service.name) for service in SERVICES)


def client_of(stack: Stack) -> AirflowClient:
    """A client that logs in to the stack's Airflow as its administrator."""
    return AirflowClient(stack.airflow_url, ADMIN, stack.password)


def _furnish(airflow: AirflowClient, machines: int) -> None:
    """Sets what Airflow needs for runs that name only a dataset; what somebody has set stays."""
    airflow.ensure_pool(GPU_POOL, machines, "One training at a time on each machine.")
    if airflow.ensure_variable(VARIABLES["output"], RESULTS, "Where results go unless a run says otherwise."):
        airflow.parse_again(DAG_ID)


def _choose_stack(settings: Settings, free_ports: bool) -> tuple[Stack, ProcessTable]:
    stored = ports_module.load_ports(ports_path(settings)) if is_running(settings) else None
    choose = ports_module.free_ports if free_ports else ports_module.configured_ports
    return open_stack(settings, stored or choose()), ProcessTable(settings.home / "stack")


def _start(stack: Stack, table: ProcessTable, on_ready: OnReady) -> None:
    """Starts the supervisor, and gives the database the tables for which a part of the services waits."""
    environment = stack_environment(stack, os.environ)
    supervisor.start(stack.folder, environment)
    services = services_of(stack)
    begin = time.monotonic()
    _Awaited(stack, table, [service for service in services if service.name == DATABASE]).wait(lambda name: None)
    if stack.cluster:
        _make_databases(stack, table, environment)
    _migrate(stack, table, environment)
    _Awaited(stack, table, services).wait(lambda name: on_ready(name, time.monotonic() - begin))


def _make_databases(stack: Stack, table: ProcessTable, environment: dict[str, str]) -> None:
    """Makes the databases of MLflow, studies and ML Metadata in the stack's PostgreSQL, the last with all types."""
    for name in (MLFLOW, TUNING):
        make_database(MetadataAddress.parse(stack.database_uri(name)))
    _run(table, "db-init", [sys.executable, "-P", "-m", "boxwright", "db", "init"], environment)


def _migrate(stack: Stack, table: ProcessTable, environment: dict[str, str]) -> None:
    """Gives the database the tables of this Airflow, unless it has them."""
    current = airflow_version()
    if tables_version(stack.folder) == current:
        return
    _run(table, "migrate", migrate_command(), environment)
    note_tables(stack.folder, current)


def _run(table: ProcessTable, name: str, command: Sequence[str], environment: dict[str, str]) -> None:
    """Runs a command to its end, with a log as services have.

    Raises:
        StorageError: it failed.
    """
    log = table.log_path(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        log.chmod(0o600)
        done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, umask=PRIVATE)
    if done.returncode != 0:
        raise StorageError(f"{' '.join(command[-3:])} failed: {table.last_line(name)}; see {log}")


class _Awaited:
    """Services that are to become ready; one that runs for long and is not ready is restarted."""

    def __init__(self, stack: Stack, table: ProcessTable, services: Iterable[Service]) -> None:
        self._stack, self._table = stack, table
        self._pending = {service.name: service for service in services}
        self._visible: dict[str, float] = {}

    def wait(self, on_ready: Callable[[str], None]) -> None:
        """Returns when all are ready; `on_ready` takes the name of each.

        Raises:
            StorageError: one died again and again, or the time is over.
        """
        begin = time.monotonic()
        while self._pending:
            for service in list(self._pending.values()):
                if service.ready(self._stack):
                    del self._pending[service.name]
                    on_ready(service.name)
                else:
                    self._renew(service)
            self._raise_dead()
            if self._pending and time.monotonic() - begin > START_SECONDS:
                names = ", ".join(self._pending)
                raise StorageError(f"{names}: not ready after {START_SECONDS:.0f} s; see {self._table.home / 'logs'}")
            time.sleep(POLL if self._pending else 0)

    def _renew(self, service: Service) -> None:
        """Ends a service that should be ready by now; the supervisor starts it again."""
        process = self._table.find(service.name)
        if process is None or service.seen_by in self._pending:
            return
        visible_since = self._visible.setdefault(service.name, time.monotonic())
        long = time.time() - process.create_time() > START_SECONDS
        if long and time.monotonic() - visible_since > LAST_CHANCE:
            if service.keeps_work:
                kill(process)
            else:
                self._table.stop(service.name, service.grace)

    def _raise_dead(self) -> None:
        accounts = supervisor.accounts_of(self._stack.folder).read()
        for name in self._pending.keys() & accounts.keys():
            if accounts[name].phase is Phase.DEAD:
                line, log = accounts[name].line, self._table.log_path(name)
                raise StorageError(f"{name} died {accounts[name].failures} times in a row: {line}; see {log}")


def _end(stack: Stack, table: ProcessTable) -> list[str]:
    supervisor.stop(stack.folder)
    supervisor.accounts_of(stack.folder).remove()
    stopped = _stop(table, SERVICES)
    for service in SERVICES:
        for path in service.leaves(stack):
            # Their names are those of ports, which the stack of another home may have by now.
            if ports_module.is_left_over(path):
                path.unlink(missing_ok=True)
    return stopped


def _stop(table: ProcessTable, services: Sequence[Service]) -> list[str]:
    """Stops services side by side; database and broker after those that use them. Returns those that were running."""
    stopped: set[str] = set()
    for last in (False, True):
        group = [service for service in services if (service.name in (DATABASE, BROKER)) is last]
        with ThreadPoolExecutor(max_workers=len(SERVICES)) as pool:
            running = pool.map(lambda service: table.stop(service.name, service.grace), group)
            stopped |= {service.name for service, was_running in zip(group, running, strict=True) if was_running}
    return [service.name for service in services if service.name in stopped]


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
