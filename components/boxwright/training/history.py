"""The history of a training: one record per epoch, with losses and, where measured, AP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from boxwright.config import Frozen, Hyperparameters
from boxwright.errors import DataError
from boxwright.storage import StoredRecord, write_json
from boxwright.training.sampling import ClassShare

HISTORY_FILE, TRAINING_FILE = "history.json", "training.json"
Record = dict[str, float]
# Of an epoch's `seconds`, those that went into the start of its process: compilation above all.
STARTUP = "startup_seconds"
_RECENT = 3
_HISTORY = TypeAdapter(list[Record])


class SeedResult(Frozen):
    """A training of several.

    Attributes:
        seed: of it.
        AP: on the validation images; None where it was not measured.
        val_loss: of the epoch whose weights are handed on.
    """

    seed: int
    AP: float | None
    val_loss: float


class TrainingFacts(StoredRecord):
    """The content of `training.json`.

    Attributes:
        hyperparameters: that were trained with.
        final_epoch: 0-based epoch whose weights are handed on.
        class_examples: with `repeat_threshold`, how often each class is shown; of a model with tiles, examples are
            these and the whole images.
        seeds: every training where there were several, of which the best is handed on.
    """

    FILE = TRAINING_FILE
    ADVICE = "clear fine_tune to train again"

    hyperparameters: Hyperparameters
    final_epoch: int
    class_examples: dict[str, ClassShare] = {}
    seeds: tuple[SeedResult, ...] = ()


def write_history(history: list[Record], folder: Path) -> None:
    """Writes `history.json`, atomically."""
    write_json(folder / HISTORY_FILE, history)


def read_history(folder: Path) -> list[Record]:
    """Reads `history.json`; no records where there is no such file.

    Raises:
        DataError: it is not what `write_history` writes.
    """
    path = folder / HISTORY_FILE
    if not path.exists():
        return []
    try:
        return _HISTORY.validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(
            f"{path} is not the history of a training ({error.errors()[0]['msg']}); remove it to train from the start"
        ) from None


def seconds_of_an_epoch(history: Sequence[Record]) -> float | None:
    """Seconds of an epoch, from the last three, without the start of a process; None where they are not known.

    The epoch that a process starts with counts only until there is another one.
    """
    recent = [record for record in history[-_RECENT:] if "seconds" in record]
    whole = [record["seconds"] for record in recent if STARTUP not in record]
    begun = [spent for record in recent if (spent := record["seconds"] - record.get(STARTUP, 0.0)) > 0]
    known = whole or begun
    return sum(known) / len(known) if known else None


def score(record: Record, metric: str) -> float | None:
    """The score of an epoch, higher is better; None if the metric was not measured.

    Args:
        record: of the epoch.
        metric: `val_loss` or `AP`.
    """
    value = record.get(metric)
    return -value if value is not None and metric == "val_loss" else value


def best_record(history: list[Record], metric: str) -> Record | None:
    """The record of the best epoch, the earliest where several are equal; None where nothing was measured."""
    measured = [record for record in history if score(record, metric) is not None]
    return max(measured, key=lambda record: score(record, metric) or 0.0, default=None)


def epochs_without_improvement(history: list[Record], metric: str, min_delta: float) -> int:
    """Measured epochs since the last one that was better than all before by more than `min_delta`."""
    best, stale = float("-inf"), 0
    for record in history:
        value = score(record, metric)
        if value is None:
            continue
        best, stale = (value, 0) if value > best + min_delta else (best, stale + 1)
    return stale
