"""The callback that follows a training step by step: progress from time to time, and the pace of its epochs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import keras

from boxwright.training.pace import Pace
from boxwright.training.step_progress import GpuUsage, StepProgress, Usage

log = logging.getLogger("boxwright.training")
SECONDS_BETWEEN_LINES = 30.0


class StepLog(keras.callbacks.Callback):
    """Logs a line about the steps of an epoch each half minute, and hands it on.

    Args:
        images: of an epoch.
        epochs: planned.
        steps: of training in an epoch.
        validation_steps: of validation in an epoch.
        report: is handed what each line says.
        clock: gives seconds.
        gpu_usage: what is taken of the machine's GPUs; None where it has none.
    """

    def __init__(
        self,
        images: int,
        epochs: int,
        steps: int,
        validation_steps: int,
        report: Callable[[StepProgress], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        gpu_usage: Callable[[], GpuUsage | None] = lambda: None,
    ) -> None:
        super().__init__()
        self._gpu_usage = gpu_usage
        self._images, self._epochs = images, epochs
        self._steps, self._validation_steps = steps, validation_steps
        self._report, self._clock = report, clock
        self._training, self._validation = Pace(clock), Pace(clock)
        self._usage = Usage()
        self._epoch = 0
        self._losses: dict[str, float] = {}
        self._said = clock()

    @property
    def epoch_seconds(self) -> float | None:
        """Seconds of an epoch's steps at the present pace; None where only the first step was made so far."""
        if self._training.seconds is None:
            return None
        # Where validation is a single step, its first one says nothing.
        return self._training.seconds * self._steps + (self._validation.seconds or 0.0) * self._validation_steps

    def on_train_begin(self, logs: Any = None) -> None:
        """Says what the first step waits for."""
        del logs
        log.info("compiling the training step, which takes some seconds")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock of its steps."""
        del logs
        self._epoch, self._losses = epoch, {}
        self._training.begin()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts the step."""
        self._training.step()
        if self._is_time():
            self._losses = {name: float(value) for name, value in (logs or {}).items()}
            self._say("training", batch + 1, self._steps)

    def on_test_begin(self, logs: Any = None) -> None:
        """Starts the clock of the validation's steps."""
        del logs
        self._validation.begin()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts the step."""
        del logs
        self._validation.step()
        if self._is_time():
            self._say("validation", batch + 1, self._validation_steps)

    def _is_time(self) -> bool:
        return self._clock() - self._said >= SECONDS_BETWEEN_LINES

    def _say(self, doing: Any, step: int, steps: int) -> None:
        self._said = self._clock()
        pace, gpu = self._training.seconds, self._gpu_usage()
        progress = StepProgress(
            doing=doing,
            epoch=self._epoch + 1,
            epochs=self._epochs,
            step=step,
            steps=steps,
            losses=self._losses,
            images_per_second=self._images / self._steps / pace if pace else None,
            seconds_left=self._seconds_left(doing, step),
            cpu_percent=self._usage.cpu_percent(),
            memory_mb=self._usage.memory_mb(),
            gpu_percent=None if gpu is None else gpu.percent,
            gpu_memory_mb=None if gpu is None else gpu.memory_mb,
        )
        log.info("%s", progress.line())
        if self._report:
            self._report(progress)

    def _seconds_left(self, doing: str, step: int) -> float | None:
        if self.epoch_seconds is None or self._training.seconds is None:
            return None
        validation = self._validation.seconds or 0.0
        if doing == "training":
            here = (self._steps - step) * self._training.seconds + self._validation_steps * validation
        else:
            here = (self._validation_steps - step) * validation
        return here + self.epoch_seconds * (self._epochs - self._epoch - 1)
