"""Exports that this machine keeps for its own runtimes, by the content that they were made from."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from boxwright.config import Settings, full_name
from boxwright.errors import DataError
from boxwright.exporting.export import export_model
from boxwright.exporting.facts import METADATA_FILE
from boxwright.exporting.formats import format_named
from boxwright.model import MODEL_FILE, WEIGHTS_FILE
from boxwright.storage import StoredRecord, sha256_of
from boxwright.version import current_version

FOLDER = "exports"
# Exports of a model that nobody has asked for in so long are removed.
UNUSED_DAYS = 30
_log = logging.getLogger("boxwright")


class FailedExport(StoredRecord):
    """An export that failed its check against the model, and would fail it again.

    Attributes:
        reason: what the check said.
    """

    FILE: ClassVar[str] = "failed.json"
    ADVICE: ClassVar[str] = "remove the folder"

    reason: str


def kept_export(model_dir: Path, name: str, reference: str, again: bool = True) -> Path:
    """The folder of a model's export, which is made where it is not there yet.

    It lies in `exports/` of Boxwright's home, below the hash of the model's files and of the version that exported it:
    the same weights are converted once. What has not been asked for in `UNUSED_DAYS` is removed when one is made.

    Args:
        model_dir: `model.json` and weights.
        name: of the format.
        reference: the model, for messages.
        again: whether an export that failed its check before is tried once more.

    Raises:
        UsageError, DataError, TrainingError: see `export_model`.
    """
    kind, place = format_named(name), place_of(model_dir)
    folder = place / full_name(name).replace(":", "-")
    if (folder / METADATA_FILE).exists():
        return folder
    if not again and (folder / FailedExport.FILE).exists():
        raise DataError(f"{FailedExport.read(folder).reason} (tried before; --runtime {name} tries it again)")
    remove_unused(place.parent)
    try:
        export_model(model_dir, folder, kind.name, None, reference)
    except DataError as error:
        folder.mkdir(parents=True, exist_ok=True)
        FailedExport(reason=str(error)).write(folder)
        raise
    return folder


def place_of(model_dir: Path) -> Path:
    """The folder of a model's exports, used as of now."""
    digest = hashlib.sha256(current_version().encode())
    for file in (MODEL_FILE, WEIGHTS_FILE):
        digest.update(bytes.fromhex(sha256_of(model_dir / file)))
    place = Settings.from_environment().home / FOLDER / digest.hexdigest()[:32]
    with suppress(OSError):  # it is not there yet
        os.utime(place)
    return place


def remove_unused(root: Path) -> None:
    """Removes the exports of the models that nobody has asked for in `UNUSED_DAYS`."""
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    for place in root.glob("*"):
        with suppress(OSError):  # another process is at it
            if place.stat().st_mtime < oldest:
                shutil.rmtree(place)
                _log.info("removed the exports in %s, which nobody has used for %d days", place, UNUSED_DAYS)
