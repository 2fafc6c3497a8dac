"""The machine itself: its name, disk, memory and accelerators."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator

import psutil

from boxwright.config import Settings
from boxwright.doctor.finding import Finding, doubtful, skipped, well, wrong

GIGABYTE = 1e9
# A home that has less cannot take a dataset, and one with less than the other is full soon.
LEAST_DISK, LITTLE_DISK = 1.0, 10.0
# A training of the default model takes so much, TensorFlow included.
LEAST_MEMORY = 3.0
SMI_SECONDS = 20.0


def look_at_machine(settings: Settings) -> Iterator[Finding]:
    """The machine of this process."""
    yield _home(settings)
    yield _memory()
    yield _name()
    yield _accelerators()


def _home(settings: Settings) -> Finding:
    subject, home = "home", settings.home
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = home / ".doctor"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        return wrong(subject, f"{home}: {error.strerror}", "let this user write it, or set BOXWRIGHT_HOME to another")
    free = shutil.disk_usage(home).free / GIGABYTE
    said = f"{home}: {free:.0f} GB free" if free >= LEAST_DISK else f"{home}: {free:.2f} GB free"
    if free < LEAST_DISK:
        return wrong(subject, said, "free space, or set BOXWRIGHT_HOME to a larger disk")
    if free < LITTLE_DISK:
        return doubtful(subject, said, "free space; BOXWRIGHT_CACHE_GB bounds the cache")
    return well(subject, said)


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    free, whole = memory.available / GIGABYTE, memory.total / GIGABYTE
    said = f"{free:.1f} of {whole:.1f} GB available"
    if free < LEAST_MEMORY:
        return doubtful("memory", said, f"a training takes about {LEAST_MEMORY:.0f} GB: end other programs")
    return well("memory", said)


def _name() -> Finding:
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        return doubtful(
            "host name",
            f"{name} does not resolve, so that tasks of a Celery worker fail before they have a log",
            "put it into DNS or /etc/hosts, or set "
            "AIRFLOW__CORE__HOSTNAME_CALLABLE=airflow.utils.net.get_host_ip_address",
        )
    return well("host name", f"{name} is {address}")


def _accelerators() -> Finding:
    program = shutil.which("nvidia-smi")
    if program is None:
        return skipped("GPUs", "no nvidia-smi here: trainings take the CPU")
    try:
        done = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=SMI_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return wrong("GPUs", f"nvidia-smi: {error}", "mend the driver")
    found = [line for line in done.stdout.splitlines() if line.startswith("GPU")]
    if done.returncode or not found:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        return wrong("GPUs", f"nvidia-smi: {said[-1]}", "mend the driver, or do not let this worker have the queue gpu")
    return well("GPUs", f"{len(found)}: {found[0].partition('(')[0].strip()}")
