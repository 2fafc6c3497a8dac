"""The progress of a training within an epoch: what is logged, and shown on the run's page, each half minute."""

from __future__ import annotations

import logging
import shutil
import subprocess
import time
from typing import Literal, NamedTuple

import psutil

from boxwright.config import Frozen

_QUERY = ("--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits")
_SECONDS_FOR_AN_ANSWER = 10
log = logging.getLogger("boxwright.training")


class StepProgress(Frozen):
    """Where a training stands.

    Attributes:
        doing: the part of the epoch that is under way.
        epoch: that is under way, from 1.
        epochs: planned.
        step: of this part that were done.
        steps: of this part in an epoch.
        losses: means over the epoch so far, by name; of the training steps.
        images_per_second: in training, start-up left out; None before the second step.
        seconds_left: until the last epoch has ended, at the present pace; None before the second step.
        cpu_percent: of one core, so that 200 are two cores at work.
        memory_mb: that the process holds, in megabytes.
        gpu_percent: of the time of all GPUs of the machine; None without a GPU.
        gpu_memory_mb: that is taken on them, in megabytes; None without a GPU. TensorFlow takes nearly all at once.
    """

    doing: Literal["training", "validation"]
    epoch: int
    epochs: int
    step: int
    steps: int
    losses: dict[str, float]
    images_per_second: float | None
    seconds_left: float | None
    cpu_percent: float
    memory_mb: float
    gpu_percent: float | None = None
    gpu_memory_mb: float | None = None

    def line(self) -> str:
        """One line of `name=value` pairs, losses as `name:value`; those without a value are left out."""
        shown = {
            "epoch": f"{self.epoch}/{self.epochs}",
            f"{self.doing}_step": f"{self.step}/{self.steps}",
            **{name: f"{value:.4g}" for name, value in self.losses.items()},
            "images_per_second": _rounded(self.images_per_second, 1),
            "seconds_left": _rounded(self.seconds_left, 0),
            "cpu_percent": _rounded(self.cpu_percent, 0),
            "memory_mb": _rounded(self.memory_mb, 0),
            "gpu_percent": _rounded(self.gpu_percent, 0),
            "gpu_memory_mb": _rounded(self.gpu_memory_mb, 0),
        }
        # What ends an epoch is told as `loss=`, which the managed algorithm's metric definitions look for: not this.
        return " ".join(
            f"{name}{':' if name.endswith('loss') else '='}{value}"
            for name, value in shown.items()
            if value is not None
        )


class GpuUsage(NamedTuple):
    """What is taken of the GPUs of a machine: percent of their time, and megabytes of their memory."""

    percent: float
    memory_mb: float


def gpu_usage() -> GpuUsage | None:
    """The mean use of the machine's GPUs and the sum of their memory that is taken, by NVIDIA's own program.

    Returns:
        None where that program is missing or does not say.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *_QUERY], capture_output=True, text=True, timeout=_SECONDS_FOR_AN_ANSWER, check=True
        )
        rows = [[float(value) for value in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
        percents, megabytes = zip(*rows, strict=True)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        log.debug("nvidia-smi does not say how the GPUs are used: %s", error)
        return None
    return GpuUsage(sum(percents) / len(rows), sum(megabytes))


class Usage:
    """What this process takes of the machine."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._at, self._cpu = time.monotonic(), time.process_time()

    def cpu_percent(self) -> float:
        """The processor's time since the last call, in percent of one core."""
        now, cpu = time.monotonic(), time.process_time()
        share = (cpu - self._cpu) / max(now - self._at, 1e-9)
        self._at, self._cpu = now, cpu
        return 100 * share

    def memory_mb(self) -> float:
        """The memory that the process holds now, in megabytes."""
        return float(self._process.memory_info().rss) / 1e6


def _rounded(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"
