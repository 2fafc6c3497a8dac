"""A worker on a machine of its own: in a network namespace, whose way to the servers can be cut, with its own home."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from boxwright.stack.environment import Stack, stack_environment
from boxwright.stack.services import program

RELAY = Path(__file__).with_name("relay.py")


def why_not() -> str | None:
    """Why this machine cannot have network namespaces, or None."""
    if shutil.which("ip") is None:
        return "no program ip: on Debian apt-get install iproute2"
    name = f"bw-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"network namespaces cannot be made here ({made.stderr.strip()})"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return None


class Machine:
    """A machine that runs one Celery worker.

    Args:
        stack: whose servers it reaches.
        name: of the worker.
        queue: that it listens to.
    """

    def __init__(self, stack: Stack, name: str, queue: str) -> None:
        self._space = f"bw-{name}-{os.getpid()}"
        self._folder = Path(tempfile.mkdtemp(prefix="bw-net-"))
        self.home = stack.home / "machines" / name
        (self.home / "tmp").mkdir(parents=True)
        self.log = self.home / "worker.log"
        subprocess.run(["ip", "netns", "add", self._space], check=True)
        subprocess.run([*self._within, "ip", "link", "set", "lo", "up"], check=True)
        ports = [str(port) for port in stack.ports.values()]
        relay = (sys.executable, str(RELAY))
        self._relays = {
            side: subprocess.Popen([*prefix, *relay, side, str(self._folder), *ports])
            for side, prefix in (("outside", ()), ("inside", self._within))
        }
        command = [program("airflow"), "celery", "worker", f"--celery-hostname={name}@%h", f"--queues={queue}"]
        environment = stack_environment(stack, os.environ) | {
            "BOXWRIGHT_HOME": str(self.home),
            "BOXWRIGHT_CACHE": str(self.home / "cache"),
            "TMPDIR": str(self.home / "tmp"),
        }
        with self.log.open("wb") as log:
            self.worker = subprocess.Popen(
                [*self._within, *command, "--skip-serve-logs", "--concurrency=1"],
                env=environment,
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def _within(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self._space)

    def has_network(self) -> bool:
        """Whether both ends of its relay listen."""
        return all((self._folder / side).exists() for side in self._relays)

    def cut(self) -> None:
        """Takes its network away."""
        self._relays["inside"].send_signal(signal.SIGSTOP)

    def mend(self) -> None:
        """Gives it its network back."""
        self._relays["inside"].send_signal(signal.SIGCONT)

    def trainings(self) -> list[psutil.Process]:
        """Its processes that have loaded TensorFlow."""
        found = []
        for process in psutil.Process(self.worker.pid).children(recursive=True):
            try:
                if "libtensorflow" in Path(f"/proc/{process.pid}/maps").read_text():
                    found.append(process)
            except OSError:
                continue
        return found

    def stop(self) -> None:
        """Ends all of it."""
        self.mend()
        for process in [*psutil.Process(self.worker.pid).children(recursive=True), psutil.Process(self.worker.pid)]:
            process.kill()
        self.worker.wait()
        for relay in self._relays.values():
            relay.kill()
            relay.wait()
        subprocess.run(["ip", "netns", "delete", self._space], check=True)
        shutil.rmtree(self._folder)
