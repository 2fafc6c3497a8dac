"""Exports that this machine keeps for its own runtimes, by the content that they were made from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from boxwright.config import Settings
from boxwright.exporting.export import export_model
from boxwright.exporting.facts import METADATA_FILE
from boxwright.exporting.formats import format_named
from boxwright.model import MODEL_FILE, WEIGHTS_FILE
from boxwright.version import current_version


def kept_export(model_dir: Path, name: str, reference: str) -> Path:
    """The folder of a model's export, which is made where it is not there yet.

    It lies in `exports/` of Boxwright's home, below the hash of the model's files and of the version that exported it:
    the same weights are converted once, and an export is only ever one that this machine made from numbers.

    Args:
        model_dir: `model.json` and weights.
        name: of the format.
        reference: the model, for messages.

    Raises:
        UsageError, DataError, TrainingError: see `export_model`.
    """
    kind = format_named(name)
    digest = hashlib.sha256(current_version().encode())
    for file in (MODEL_FILE, WEIGHTS_FILE):
        with (model_dir / file).open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    folder = Settings.from_environment().home / "exports" / digest.hexdigest()[:32] / name
    if not (folder / METADATA_FILE).exists():
        export_model(model_dir, folder, kind.name, None, reference)
    return folder
