"""`boxwright export`: one format of a trained detector, whole or not at all."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from boxwright.config import INT8
from boxwright.errors import UsageError
from boxwright.exporting.apart import run_apart
from boxwright.exporting.calibrating import Calibration
from boxwright.exporting.facts import ExportFacts
from boxwright.exporting.formats import format_named
from boxwright.model import load_card, model_spec
from boxwright.storage import explain_os_error

_ATTEMPTS = 5
# Why no converter reads a family's network.
_NOT_CONVERTED = {"dfine": "Keras compiles D-FINE's grouped convolutions with XLA, whose calls no converter reads"}
_log = logging.getLogger("boxwright")


def export_model(
    model_dir: Path,
    out_dir: Path,
    name: str,
    precision: str | None,
    reference: str,
    calibration: Calibration | None = None,
) -> ExportFacts:
    """Writes a format of a trained detector, in a process of its own, and checks it there by numbers.

    Args:
        model_dir: `model.json` and weights; `metrics.json` and `sample.json` where they are there.
        out_dir: folder that the artefact becomes; an earlier one is replaced when the new one is whole.
        name: of the format, one of `formats.FORMATS`.
        precision: one of the format's; its first if unset.
        reference: the model, for messages and metadata.
        calibration: for `int8`: on which images.

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
    kind.check_installed(precision)
    check_calibration(precision, calibration is not None)
    check_family(load_card(model_dir).model_id)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out_dir.name}-", dir=out_dir.parent) as temporary:
        written = Path(temporary, "new")
        written.mkdir()
        _log.info("converting %s to %s in %s", reference, name, precision)
        _convert(model_dir, written, name, precision, reference, calibration)
        facts = ExportFacts.read(written)
        _put(written, out_dir, Path(temporary))
    return facts


def check_family(model_id: str) -> None:
    """Refuses a model that no converter reads.

    Raises:
        UsageError: naming what to choose instead.
    """
    if (family := model_spec(model_id).family) in _NOT_CONVERTED:
        raise UsageError(f"{model_id} cannot be exported: {_NOT_CONVERTED[family]}; choose a model of another family")


def check_calibration(precision: str, has_images: bool) -> None:
    """Refuses whole numbers without images to calibrate on.

    Raises:
        UsageError: saying how to name them.
    """
    if precision == INT8 and not has_images:
        raise UsageError(f"precision={INT8} needs images to calibrate on: --calibration FOLDER with some 100 of them")


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


def _convert(
    model_dir: Path, out_dir: Path, name: str, precision: str, reference: str, calibration: Calibration | None
) -> None:
    arguments = [str(model_dir.absolute()), str(out_dir.absolute()), name, precision, reference]
    if calibration is not None:
        absolute = calibration.model_copy(update={"folder": calibration.folder.absolute()})
        arguments.append(absolute.model_dump_json())
    run_apart("boxwright.exporting.process", arguments, out_dir, f"{reference} cannot be converted to {name}")
