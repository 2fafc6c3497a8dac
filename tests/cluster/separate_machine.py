"""Workers on machines of their own, as far as one machine can have them.

Each has a network namespace, whose way to the servers and to the other machines can be cut; a host name; a process
table, so that nobody sees whether a process of it lives, and all end with it; and a disk in memory in place of the
stack's folder, which is gone with it. They share the processor, the kernel, and what is installed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from boxwright.stack.cluster import CONCURRENCY, QUEUES
from boxwright.stack.environment import Stack, stack_environment
from boxwright.stack.services import program
from boxwright.training.reaching import ADDRESS_VARIABLE

RELAY = Path(__file__).with_name("relay.py")
CLOCK = Path(__file__).with_name("wall_clock.c")
# Run as the first process of a machine: its own names and disk, then what it is for.
_BOOT = """
set -e
hostname "$1"
mount --bind "$2" /etc/hosts
mount -t tmpfs -o size=4g tmpfs "$3"
mkdir -p "$4/tmp"
cd "$4"
shift 4
"$@"
"""
_PROGRAMS = {"ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux", "hostname": "hostname"}


def why_not() -> str | None:
    """Why this machine cannot stand for several, or None."""
    for name, package in _PROGRAMS.items():
        if shutil.which(name) is None:
            return f"no program {name}: on Debian apt-get install {package}"
    space = f"bw-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", space], capture_output=True, text=True)
    if made.returncode:
        return f"network namespaces cannot be made here ({made.stderr.strip()})"
    command = ["unshare", "--uts", "--mount", "--pid", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "none", "/mnt"]
    tried = subprocess.run(["ip", "netns", "exec", space, *command], capture_output=True, text=True)
    _ip("netns", "delete", space)
    return f"namespaces cannot be made here ({tried.stderr.strip()})" if tried.returncode else None


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


class Network:
    """The switch between machines."""

    def __init__(self) -> None:
        self._space = f"bw-{os.getpid()}-switch"
        self._ports = 0
        _ip("netns", "add", self._space)
        _ip("-n", self._space, "link", "add", "switch", "type", "bridge")
        _ip("-n", self._space, "link", "set", "switch", "up")

    def join(self, space: str) -> str:
        """Gives a network namespace a line to it, and returns the address there."""
        self._ports += 1
        port, address = f"port{self._ports}", f"10.213.0.{self._ports}"
        _ip("link", "add", "eth0", "netns", space, "type", "veth", "peer", "name", port, "netns", self._space)
        _ip("-n", self._space, "link", "set", port, "master", "switch", "up")
        _ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", space, "link", "set", device, "up")
        return address

    def close(self) -> None:
        """Takes it away."""
        _ip("netns", "delete", self._space)


class Machine:
    """A machine that runs one Celery worker.

    Args:
        stack: whose servers it reaches.
        network: by which it reaches other machines.
        name: of machine and worker.
        queues: that it listens to.
        concurrency: tasks that it does at a time.
        clock: seconds by which its clock is ahead.

    Attributes:
        address: at which other machines reach it.
        environment: the variables of its worker.
    """

    def __init__(
        self,
        stack: Stack,
        network: Network,
        name: str,
        queues: Sequence[str] = QUEUES,
        concurrency: int = CONCURRENCY,
        clock: int = 0,
    ) -> None:
        self._space = f"bw-{os.getpid()}-{name}"
        self._folder = Path(tempfile.mkdtemp(prefix="bw-net-"))
        _ip("netns", "add", self._space)
        self.address = network.join(self._space)
        ports = [str(port) for port in stack.ports.values()]
        relay = (sys.executable, str(RELAY))
        self._relays = {
            side: subprocess.Popen([*prefix, *relay, side, str(self._folder), *ports])
            for side, prefix in (("outside", ()), ("inside", self._within))
        }
        hosts = self._folder / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{self.address} {name}\n")
        home = stack.home / "machine"
        self.environment = stack_environment(stack, os.environ) | {
            "BOXWRIGHT_HOME": str(home),
            "BOXWRIGHT_CACHE": str(home / "cache"),
            ADDRESS_VARIABLE: self.address,
            "TMPDIR": str(home / "tmp"),
        }
        if clock:
            library = self._folder / "wall_clock.so"
            subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(CLOCK)], check=True)
            self.environment |= {"LD_PRELOAD": str(library), "WALL_CLOCK_AHEAD": str(clock)}
        boot = [
            "unshare",
            "--uts",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            _BOOT,
            "sh",
        ]
        worker = [program("airflow"), "celery", "worker", f"--celery-hostname={name}@%h", "--skip-serve-logs"]
        chosen = [f"--queues={','.join(queues)}", f"--concurrency={concurrency}"]
        self._log = self._folder / "worker.log"
        with self._log.open("wb") as log:
            self._power = subprocess.Popen(
                [*self._within, *boot, name, str(hosts), str(stack.home), str(home), *worker, *chosen],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def _within(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self._space)

    def is_up(self) -> bool:
        """Whether it has its network, and its worker takes tasks."""
        assert self._power.poll() is None, self._log.read_text(errors="replace")
        return all((self._folder / side).exists() for side in self._relays) and b" ready." in self._log.read_bytes()

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Runs a command on it to its end."""
        first = psutil.Process(self._power.pid).children()[0].pid
        entered = ["nsenter", f"--target={first}", "--net", "--uts", "--mount", "--pid"]
        return subprocess.run([*entered, *command], env=self.environment, capture_output=True, text=True, timeout=300)

    def cut(self) -> None:
        """Takes its network away, as a cable that is pulled: what is open stays open, and nothing comes."""
        self._relays["inside"].send_signal(signal.SIGSTOP)
        _ip("-n", self._space, "link", "set", "eth0", "down")

    def mend(self) -> None:
        """Gives it its network back."""
        _ip("-n", self._space, "link", "set", "eth0", "up")
        self._relays["inside"].send_signal(signal.SIGCONT)

    def processes(self) -> list[psutil.Process]:
        """All of its processes, the first of which is the machine itself."""
        return psutil.Process(self._power.pid).children(recursive=True)

    def trainings(self) -> list[psutil.Process]:
        """Its processes that have loaded TensorFlow."""
        found = []
        for process in self.processes():
            with suppress(OSError):
                if "libtensorflow" in Path(f"/proc/{process.pid}/maps").read_text():
                    found.append(process)
        return found

    def lose(self) -> None:
        """What happens to a machine that burns: all of its processes end at once, and its disk is gone."""
        self._power.kill()
        self._power.wait()
        for relay in self._relays.values():
            relay.kill()
            relay.wait()
        _ip("netns", "delete", self._space)
        shutil.rmtree(self._folder)
