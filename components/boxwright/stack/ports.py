"""The ports of the local stack: defaults, what the environment sets, or free ones."""

from __future__ import annotations

import json
import os
import random
import socket
from pathlib import Path

from boxwright.errors import UsageError

HOST = "127.0.0.1"
VARIABLE = "BOXWRIGHT_PORT_"
DEFAULTS = {
    "s3": 8333,
    "mlflow": 5000,
    "airflow": 8080,
    "postgres": 8432,
    "redis": 8379,
    "s3_master": 9333,
    "s3_volume": 8380,
    "s3_filer": 8888,
}
# SeaweedFS answers gRPC on a second port, this much above each of its own.
GRPC_OFFSET = 10000
# Below the range that systems hand out to outgoing connections, also after adding the offset.
FREE_RANGE = range(15000, 22000)

Ports = dict[str, int]


def configured_ports() -> Ports:
    """Ports by name: `BOXWRIGHT_PORT_<NAME>` where set, the default elsewhere.

    Raises:
        UsageError: if a variable holds no port number.
    """
    return {name: _from_environment(name, default) for name, default in DEFAULTS.items()}


def free_ports() -> Ports:
    """A free port for every name, each with its gRPC neighbour free as well.

    Raises:
        UsageError: if the machine has hardly a free port left.
    """
    chosen: list[int] = []
    for port in random.SystemRandom().sample(FREE_RANGE, k=len(FREE_RANGE) // 10):
        if is_free(port) and is_free(port + GRPC_OFFSET):
            chosen.append(port)
        if len(chosen) == len(DEFAULTS):
            return dict(zip(DEFAULTS, chosen, strict=True))
    raise UsageError(f"fewer than {len(DEFAULTS)} free ports in {FREE_RANGE}; set {VARIABLE}S3 and its like by hand")


def load_ports(path: Path) -> Ports | None:
    """The ports the running stack was started with, or `None` before the first start."""
    try:
        stored = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return {name: int(stored.get(name, default)) for name, default in DEFAULTS.items()}


def save_ports(path: Path, ports: Ports) -> None:
    """Writes the ports for later commands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(ports), "utf-8")
    os.replace(temporary, path)


def require_free(ports: Ports) -> None:
    """Makes sure that nothing else listens on the ports of services about to start.

    Raises:
        UsageError: naming every taken port and the variable that moves it.
    """
    taken = [name for name, port in ports.items() if not _wholly_free(name, port)]
    if taken:
        which = ", ".join(f"{ports[name]} ({name})" for name in taken)
        variables = ", ".join(f"{VARIABLE}{name.upper()}" for name in taken)
        raise UsageError(f"port {which} is taken by another program; set {variables} to a free port, or stop it")


def is_free(port: int) -> bool:
    """Whether a server could listen on the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do, so that connections of an earlier run that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_left_over(path: Path) -> bool:
    """Whether the Unix socket at a path is one that no server listens at any more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:  # there is none, or it is somebody else's
            return False
    return False


def _wholly_free(name: str, port: int) -> bool:
    return is_free(port) and (not name.startswith("s3") or is_free(port + GRPC_OFFSET))


def _from_environment(name: str, default: int) -> int:
    variable = f"{VARIABLE}{name.upper()}"
    text = os.environ.get(variable) or str(default)
    highest = 65535 - (GRPC_OFFSET if name.startswith("s3") else 0)
    if not text.isdigit() or not 1024 <= int(text) <= highest:
        raise UsageError(f"{variable}={text!r}: expected a port number from 1024 to {highest}")
    return int(text)
