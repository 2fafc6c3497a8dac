"""What training says and keeps: the managed algorithm's log lines, the history, and a stop on divergence."""

from __future__ import annotations

import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import keras

from components.errors import TrainingError
from components.storage import write_json

log = logging.getLogger("boxwright.training")


class EpochLog(keras.callbacks.Callback):
    """Logs the two lines an epoch that the managed algorithm's metric definitions read, and keeps the history.

    Args:
        images: training images an epoch.
        epochs: planned epochs, for the time left.
        history_file: JSON list of one record an epoch; a resumed training goes on with it.
    """

    def __init__(self, images: int, epochs: int, history_file: Path) -> None:
        super().__init__()
        self.images = images
        self.epochs = epochs
        self.history_file = history_file
        self.history: list[dict[str, float]] = json.loads(history_file.read_text()) if history_file.exists() else []
        self._started = 0.0
        self._trained = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        del logs
        self._started = time.monotonic()
        # A kill between the record and the checkpoint leaves a record of an epoch that is now done again.
        self.history = [record for record in self.history if record["epoch"] < epoch]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stops on a loss that is no number.

        Raises:
            TrainingError: saying what to change.
        """
        if logs and not math.isfinite(float(logs["loss"])):
            raise TrainingError(
                f"the loss became {float(logs['loss'])} at step {batch} of an epoch; "
                "lower learning_rate or gradient_clip_norm, or train from pretrained weights"
            )

    def on_test_begin(self, logs: Any = None) -> None:
        """Stops the clock that the speed is taken from: validation is not training."""
        del logs
        self._trained = time.monotonic() - self._started

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Logs the epoch."""
        seconds = time.monotonic() - self._started
        record = {"epoch": float(epoch), "seconds": seconds, "images_per_second": self.images / self._trained}
        record |= {name: float(value) for name, value in (logs or {}).items()}
        self.history.append(record)
        write_json(self.history_file, self.history)
        log.info("[Epoch %d], Speed: %.3f samples/sec, loss=%.3f.", epoch, record["images_per_second"], record["loss"])
        log.info(
            "[Epoch %d], Val_localization=%.3f, Val_classification=%.3f",
            epoch,
            record["val_localization_loss"],
            record["val_classification_loss"],
        )
        left = seconds * (self.epochs - epoch - 1)
        log.info("epoch %d of %d done, about %d min %02d s left", epoch + 1, self.epochs, left // 60, left % 60)
