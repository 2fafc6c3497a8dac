"""`boxwright export`: one format of a trained detector, whole or not at all."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

from boxwright.errors import DataError, TrainingError, UsageError, error_of
from boxwright.exporting.facts import ExportFacts
from boxwright.exporting.formats import format_named
from boxwright.exporting.process import ERROR_FILE
from boxwright.model import load_card, model_spec
from boxwright.quiet import is_verbose
from boxwright.storage import explain_os_error

_SHOWN, _ATTEMPTS = 300, 5
# Why no converter reads a family's network.
_NOT_CONVERTED = {"dfine": "Keras compiles D-FINE's grouped convolutions with XLA, whose calls no converter reads"}
_log = logging.getLogger("boxwright")


def export_model(model_dir: Path, out_dir: Path, name: str, precision: str | None, reference: str) -> ExportFacts:
    """Writes a format of a trained detector, in a process of its own, and checks it there by numbers.

    Args:
        model_dir: `model.json` and weights; `metrics.json` and `sample.json` where they are there.
        out_dir: folder that the artefact becomes; an earlier one is replaced when the new one is whole.
        name: of the format, one of `formats.FORMATS`.
        precision: one of the format's; its first if unset.
        reference: the model, for messages and metadata.

    Returns:
        What its `metadata.json` says.

    Raises:
        UsageError: the format, the precision or a library is not there.
        DataError: the model cannot be rebuilt, or the file does not answer as it does.
        TrainingError: the converter failed.
    """
    kind = format_named(name)
    precision = precision or kind.precisions[0]
    kind.check_precision(precision)
    kind.check_installed()
    _check_family(model_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out_dir.name}-", dir=out_dir.parent) as temporary:
        written = Path(temporary, "new")
        written.mkdir()
        _log.info("converting %s to %s in %s", reference, name, precision)
        _convert(model_dir, written, name, precision, reference)
        facts = ExportFacts.read(written)
        _put(written, out_dir, Path(temporary))
    return facts


def _check_family(model_dir: Path) -> None:
    card = load_card(model_dir)
    if (family := model_spec(card.model_id).family) in _NOT_CONVERTED:
        raise UsageError(
            f"{card.model_id} cannot be exported: {_NOT_CONVERTED[family]}; choose a model of another family"
        )


def _put(written: Path, target: Path, aside: Path) -> None:
    """Moves a folder to its place; what another process puts there meanwhile is replaced too."""
    for attempt in range(_ATTEMPTS):
        try:
            if target.exists():
                target.rename(aside / f"old-{attempt}")
            written.rename(target)
            return
        except OSError as error:
            failed = error
    raise explain_os_error(failed, str(target)) from None


def _convert(model_dir: Path, out_dir: Path, name: str, precision: str, reference: str) -> None:
    command = [sys.executable, "-P", "-m", "boxwright.exporting.process"]
    arguments = [str(model_dir.absolute()), str(out_dir.absolute()), name, precision, reference]
    kept = None if is_verbose() else subprocess.PIPE
    ended = subprocess.run([*command, *arguments], stdout=kept, stderr=kept, text=True, check=False)
    if not ended.returncode:
        return
    path = out_dir / ERROR_FILE
    if path.exists():
        told = json.loads(path.read_text())
        raise error_of(told["exit_code"])(told["message"])
    if ended.returncode < 0:
        raise TrainingError(
            f"{reference}: the process that converts it to {name} was ended by signal {-ended.returncode}; where that "
            "is 9, its memory did not suffice"
        )
    lines = [line.strip() for line in (ended.stderr or "").splitlines() if line.strip()]
    why = (lines[-1] if lines else f"exit code {ended.returncode}")[:_SHOWN]
    raise DataError(f"{reference} cannot be converted to {name}: {why}; --verbose shows all that the converter said")
