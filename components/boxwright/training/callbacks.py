"""Callbacks of training: the managed algorithm's log lines, the history, early stops."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from boxwright.errors import DivergedError, StoppedError
from boxwright.training.history import (
    STARTUP,
    Record,
    epochs_without_improvement,
    read_history,
    seconds_of_an_epoch,
    write_history,
)
from boxwright.training.input_clock import InputClock
from boxwright.training.pace import in_minutes

log = logging.getLogger("boxwright.training")
DIVERGED = 10.0


class EpochLog(keras.callbacks.Callback):
    """Logs the two lines an epoch that the managed algorithm's metric definitions read, and keeps the history.

    Args:
        images: training images an epoch.
        epochs: planned epochs, for the time left.
        folder: for `history.json`; a resumed training goes on with it.
        clock: tells how long training waited for its input.
        measure: gives further metrics of the model, such as the validation AP, for an epoch's record.
        measure_every: epochs between two measurements; the last epoch is measured too; 0: never.
        report: is handed each epoch's record.
        glance: gives further metrics in the epochs between; never where `measure_every` is 0.
        epoch_seconds: gives the seconds of an epoch's steps without the start of a process, where they are known.
        writes: whether the history goes to the file, and the epochs to the log; of several machines that train
            together one writes.
    """

    def __init__(
        self,
        images: int,
        epochs: int,
        folder: Path,
        clock: InputClock | None = None,
        measure: Callable[[Any], Record] | None = None,
        measure_every: int = 0,
        report: Callable[[Record], None] | None = None,
        writes: bool = True,
        glance: Callable[[Any], Record] | None = None,
        epoch_seconds: Callable[[], float | None] = lambda: None,
    ) -> None:
        super().__init__()
        self.images = images
        self.epochs = epochs
        self.folder = folder
        self.history: list[Record] = read_history(folder)
        self._clock = clock or InputClock()
        self._measure = measure if measure_every else None
        self._glance = glance if measure_every else None
        self._measure_every = measure_every
        self._report = report if writes else None
        self._writes = writes
        self._epoch_seconds = epoch_seconds
        self._is_first = True
        self._started = 0.0
        self._trained = 0.0
        self._compiled = False

    def forget_after(self, epochs: int) -> None:
        """Drops the record of an epoch that a kill left without a checkpoint, and that is now done again."""
        self.history = [record for record in self.history if record["epoch"] < epochs]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clocks."""
        del logs
        self.forget_after(epoch)
        self._started = time.monotonic()
        self._clock.restart()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Notes that the next batch is asked for, but for the first: Keras compiles its step before it takes that."""
        del batch, logs
        if self._compiled:
            self._clock.ask()
        self._compiled = True

    def on_test_begin(self, logs: Any = None) -> None:
        """Stops the clock that the speed is taken from: validation is not training."""
        del logs
        self._trained = time.monotonic() - self._started

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Logs the epoch."""
        record = {"epoch": float(epoch), "images_per_second": self.images / self._trained}
        record["waiting_share"] = min(self._clock.waited / self._trained, 1.0)
        record |= {name: float(value) for name, value in (logs or {}).items()}
        if self._measure and ((epoch + 1) % self._measure_every == 0 or epoch + 1 == self.epochs):
            record |= self._measure(self.model)
        elif self._glance:
            record |= self._glance(self.model)
        record["seconds"] = time.monotonic() - self._started
        if self._is_first:
            record[STARTUP] = record["seconds"] - min(self._epoch_seconds() or 0.0, record["seconds"])
            self._is_first = False
        self.history.append(record)
        if self._writes:
            write_history(self.history, self.folder)
            self._say(epoch, record)
        if self._report:
            self._report(record)

    def _say(self, epoch: int, record: Record) -> None:
        log.info("[Epoch %d], Speed: %.3f samples/sec, loss=%.3f.", epoch, record["images_per_second"], record["loss"])
        log.info(
            "[Epoch %d], Val_localization=%.3f, Val_classification=%.3f",
            epoch,
            record["val_localization_loss"],
            record["val_classification_loss"],
        )
        accuracy = f", AP {record['AP']:.3f}, AP50 {record['AP50']:.3f}" if "AP" in record else ""
        if "class_accuracy" in record:
            accuracy += (
                f", {record['class_accuracy']:.0%} of the boxes that are placed right named rightly "
                f"({record['class_accuracy_by_lot']:.0%} by chance)"
            )
        each = seconds_of_an_epoch(self.history)
        left = "" if each is None else f", about {in_minutes(each * (self.epochs - epoch - 1))} left"
        log.info(
            "epoch %d of %d done%s, %.1f %% of the time waiting for input%s",
            epoch + 1,
            self.epochs,
            accuracy,
            100 * record["waiting_share"],
            left,
        )


class LossGuard(keras.callbacks.Callback):
    """Ends a training whose loss is not a number, or `DIVERGED` times what it was in the first step.

    Keras hands on the mean loss of an epoch so far. A first loss below one counts as one: a batch without boxes has
    next to none.

    Args:
        advice: what the person may change.
    """

    def __init__(self, advice: str = "lower learning_rate or gradient_clip_norm") -> None:
        super().__init__()
        self._advice = advice
        self._limit: float | None = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the loss.

        Raises:
            DivergedError: saying what to change.
        """
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise DivergedError(f"the loss became {loss} at step {batch} of an epoch; {self._advice}")
        if self._limit is None:
            self._limit = DIVERGED * max(loss, 1.0)
        if loss > self._limit:
            raise DivergedError(
                f"the training diverges: a mean loss of {loss:.4g} at step {batch} of an epoch, after "
                f"{self._limit / DIVERGED:.4g} in the first step; {self._advice}"
            )


class EarlyStopping(keras.callbacks.Callback):
    """Ends a training that no longer improves. It decides from the history, so that a resumed one decides the same.

    Args:
        epoch_log: has the history; it comes before this one in the list of callbacks.
        metric: `val_loss` or `AP`.
        patience: measured epochs to go on without improvement.
        min_delta: a smaller change is no improvement.
    """

    def __init__(self, epoch_log: EpochLog, metric: str, patience: int, min_delta: float) -> None:
        super().__init__()
        self._log = epoch_log
        self._metric, self._patience, self._min_delta = metric, patience, min_delta

    def is_over(self) -> bool:
        """Whether the history is that of a training that has ended."""
        return epochs_without_improvement(self._log.history, self._metric, self._min_delta) >= self._patience

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Ends the training where it is over."""
        del logs
        if self.is_over():
            log.info("stopping after epoch %d: %s has not improved in %d", epoch + 1, self._metric, self._patience)
            self.model.stop_training = True


class StopOnRequest(keras.callbacks.Callback):
    """Ends a training after an epoch if that is asked for. It comes after the callback that keeps the epoch's state.

    Args:
        is_asked: whether it is.
        epochs: planned; after the last one there is nothing to stop.
    """

    def __init__(self, is_asked: Callable[[], bool], epochs: int) -> None:
        super().__init__()
        self._is_asked, self._epochs = is_asked, epochs

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Asks.

        Raises:
            StoppedError: saying where it can go on.
        """
        del logs
        if epoch + 1 < self._epochs and not self.model.stop_training and self._is_asked():
            # How to go on is told by who asked: a command, or the page of the run.
            reached = f"epoch {epoch + 1} of {self._epochs}"
            raise StoppedError(f"stopped as asked after {reached}, which is kept: the training can go on from there")
