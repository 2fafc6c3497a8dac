"""The state of a training after each epoch: weights, optimizer and how many epochs are done.

Keras's `BackupAndRestore` writes weights and epoch one after the other over the files of the epoch before: a kill in
between leaves weights that belong to another epoch, and a kill in the first save leaves nothing that loads. Here the
weights get a file of their own, and the small file that names it is replaced in one move.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import keras

from components.storage import write_json

STATE_FILE = "state.json"


class EpochCheckpoint(keras.callbacks.Callback):
    """Keeps the state of the last whole epoch in a folder.

    Args:
        folder: of this training alone; the same one given again resumes.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def restore(self, model: Any) -> int:
        """Puts the kept state, if there is one, into a compiled model.

        Returns:
            How many epochs are done: `fit`'s `initial_epoch`.
        """
        path = self.folder / STATE_FILE
        if not path.exists():
            return 0
        state = json.loads(path.read_text())
        model.optimizer.build(model.trainable_variables)
        model.load_weights(self.folder / state["weights"])
        return int(state["epochs"])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keeps the state, then removes the one before."""
        del logs
        done = epoch + 1
        weights = self.folder / f"epoch-{done}.weights.h5"
        temporary = self.folder / "partial.weights.h5"
        self.model.save_weights(temporary, overwrite=True)
        os.replace(temporary, weights)
        write_json(self.folder / STATE_FILE, {"epochs": done, "weights": weights.name})
        for old in self.folder.glob("epoch-*.weights.h5"):
            if old != weights:
                old.unlink()
