"""The state of a training after each epoch: weights, optimizer and how many epochs are done; and the best weights.

Keras's `BackupAndRestore` writes weights and epoch one after the other over the files of the epoch before: a kill in
between leaves weights that belong to another epoch, and a kill in the first save leaves nothing that loads. Here the
weights of an epoch get a file of their own, and the small file that names it is replaced in one move.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import keras

from boxwright.storage import download_file, exists, join, read_bytes, upload_file, write_json
from boxwright.training.callbacks import EpochLog
from boxwright.training.history import HISTORY_FILE, best_record

STATE_FILE = "state.json"
_MIRRORED_BEST = "best.weights.h5"
_LONGEST_STATE = 100_000


def fetch_mirrored(folder: Path, mirror: str) -> None:
    """Brings the state of a training from its mirror to a machine that has none, or had it when it was less far."""
    if not exists(join(mirror, STATE_FILE)):
        return
    fetched = folder / f"fetched-{STATE_FILE}"
    download_file(join(mirror, STATE_FILE), fetched)
    state = json.loads(fetched.read_text())
    own = folder / STATE_FILE
    if own.exists() and json.loads(own.read_text())["epochs"] >= state["epochs"]:
        fetched.unlink()
        return
    download_file(join(mirror, HISTORY_FILE), folder / HISTORY_FILE)
    download_file(join(mirror, _MIRRORED_BEST), folder / state["best"])
    download_file(join(mirror, _mirrored_last(state)), folder / state["weights"])
    os.replace(fetched, folder / STATE_FILE)


def share_state(folder: Path, mirror: str) -> None:
    """Brings the mirror to where this machine's state is, if that is further: others that train with it begin there."""
    own = folder / STATE_FILE
    if not own.exists():
        return
    state = json.loads(own.read_text())
    there = join(mirror, STATE_FILE)
    if not exists(there) or json.loads(read_bytes(there, _LONGEST_STATE))["epochs"] < state["epochs"]:
        _copy_to_mirror(folder, mirror, state, with_best=True)


def _copy_to_mirror(folder: Path, mirror: str, state: dict[str, Any], with_best: bool) -> None:
    """The state goes last. A best epoch that is there too early is that of the epoch which will be done again."""
    names = {HISTORY_FILE: HISTORY_FILE, state["weights"]: _mirrored_last(state)}
    for name, there in names.items():
        upload_file(folder / name, join(mirror, there))
    if with_best:
        upload_file(folder / state["best"], join(mirror, _MIRRORED_BEST))
    upload_file(folder / STATE_FILE, join(mirror, STATE_FILE))


def _mirrored_last(state: dict[str, Any]) -> str:
    """Two names in turn: the one that the state in the mirror names is never written to."""
    return f"last-{state['epochs'] % 2}.weights.h5"


class EpochCheckpoint(keras.callbacks.Callback):
    """Keeps the state of the last whole epoch in a folder, and that of the best one.

    Args:
        folder: of this training alone; the same one given again resumes.
        epoch_log: has the history; it comes before this one in the list of callbacks.
        metric: decides which epoch is best: `val_loss` or `AP`.
        mirror: `s3://` prefix that holds the same files, for a training that goes on at another machine.
        writes: whether this process keeps the state, or only reads it; of several machines one writes.
    """

    def __init__(
        self,
        folder: Path,
        epoch_log: EpochLog | None = None,
        metric: str = "val_loss",
        mirror: str | None = None,
        writes: bool = True,
    ) -> None:
        super().__init__()
        self.folder = folder
        self._log = epoch_log
        self._metric = metric
        self._mirror = mirror
        self._writes = writes

    def restore(self, model: Any) -> int:
        """Puts the kept state, if there is one, into a compiled model.

        Returns:
            How many epochs are done: `fit`'s `initial_epoch`.
        """
        state = self._state()
        if state is None:
            return 0
        # The optimizer's numbers belong to the devices and machines that the model's weights are on.
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
            model.load_weights(self.folder / state["weights"])
        return int(state["epochs"])

    def restore_best(self, model: Any) -> None:
        """Puts the weights of the best epoch into a compiled model that was trained with this callback."""
        if state := self._state():
            with model.distribute_strategy.scope():
                model.load_weights(self.folder / state["best"])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keeps the state, then removes what neither it nor the best epoch needs."""
        del logs
        if not self._writes:
            return
        weights = f"epoch-{epoch + 1}.weights.h5"
        temporary = self.folder / "partial.weights.h5"
        self.model.save_weights(temporary, overwrite=True)
        os.replace(temporary, self.folder / weights)
        before = self._state()
        state = {"epochs": epoch + 1, "weights": weights, "best": weights}
        if before is not None and not self._is_best(epoch):
            state["best"] = before["best"]
        write_json(self.folder / STATE_FILE, state)
        if self._mirror is not None:
            _copy_to_mirror(self.folder, self._mirror, state, with_best=state["best"] == weights)
        for old in self.folder.glob("epoch-*.weights.h5"):
            if old.name not in (state["weights"], state["best"]):
                old.unlink()

    def _is_best(self, epoch: int) -> bool:
        best = best_record(self._log.history, self._metric) if self._log else None
        return best is None or best["epoch"] == epoch

    def _state(self) -> dict[str, Any] | None:
        path = self.folder / STATE_FILE
        return dict(json.loads(path.read_text())) if path.exists() else None
