"""The formats that a run asks for: written, measured beside the model, and kept where they lost little."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from boxwright.config import INT8, RunConfig
from boxwright.errors import BoxwrightError, StorageError, UsageError
from boxwright.evaluation import (
    FORMATS_FOLDER,
    FORMATS_PAGE,
    FormatRecord,
    FormatsSummary,
    MeasuredFormat,
)
from boxwright.evaluation.report import write_formats_page
from boxwright.exporting.calibrating import Calibration, write_calibration
from boxwright.exporting.export import check_family, export_model
from boxwright.exporting.formats import parse_name
from boxwright.exporting.measuring import MeasuredModel
from boxwright.exporting.quantising import IN_FLOATS
from boxwright.packaging import publish, unpack

_log = logging.getLogger("boxwright")


def formats_left_out(config: RunConfig) -> dict[str, str]:
    """The formats of a run that nobody asked for by name and that cannot be written here, each with the reason.

    Raises:
        UsageError: the run asks for a format that cannot be written here: naming the command that installs what is
            missing, or what to choose instead.
    """
    found = {}
    for name in config.export.beside_archive:
        try:
            kind, precision = parse_name(name)
            kind.check_installed(precision)
            check_family(config.model_id)
        except UsageError as error:
            if not config.export.is_default:
                raise UsageError(f"export_formats: {error}") from None
            found[name] = str(error)
    return found


@dataclass(frozen=True)
class MeasuredRun:
    """The results of a run's earlier steps for its model.

    Attributes:
        archive: its `model.tar.gz` on this machine.
        reference: the model's, for messages.
        examples: folder of `build_examples`.
        evaluation: folder of `evaluate`.
    """

    archive: Path
    reference: str
    examples: Path
    evaluation: Path


def export_formats(config: RunConfig, run_id: str, run: MeasuredRun, out_dir: Path) -> FormatsSummary:
    """Writes the formats of a run, measures each, and publishes those that are kept.

    A format that lost more AP than `gate_max_export_loss`, or that cannot be written, is dropped and said so; the gate
    decides what follows from that.

    Args:
        config: the run's configuration.
        run_id: names the folder below `config.output`.
        run: what earlier steps left.
        out_dir: receives a folder for each format that is kept, `formats.json` and its page.

    Returns:
        The content of `formats.json`, which is published last: what it lists is there.

    Raises:
        UsageError: a format that the run asks for cannot be written here.
        StorageError: storage does not answer.
    """
    left_out, model = formats_left_out(config), MeasuredModel(run.examples, run.evaluation)
    bound = config.gate.max_export_loss
    shutil.rmtree(out_dir / FORMATS_FOLDER, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="boxwright-formats-") as temporary:
        model_dir = Path(temporary, "model")
        unpack(run.archive, model_dir)
        images = Path(temporary, "calibration")
        if any(name.endswith(f":{INT8}") for name in config.export.beside_archive):
            write_calibration(run.examples, images)
        source = ExportedModel(model_dir, run.reference, model, images)
        summary = write_formats(config.export.beside_archive, source, out_dir, bound, left_out)
    summary.write(out_dir)
    write_formats_page(out_dir, summary, f"{config.model_name}, run {run_id}")
    publish(config, run_id, out_dir, [FORMATS_FOLDER, FORMATS_PAGE, FormatsSummary.FILE])
    return summary


@dataclass(frozen=True)
class ExportedModel:
    """A model that is written in formats.

    Attributes:
        folder: `model.json`, weights, `metrics.json` and `sample.json`.
        reference: the model's, for messages.
        measured: on the images that its exports are measured on.
        calibration: folder of images for exports in whole numbers; None where there are none.
    """

    folder: Path
    reference: str
    measured: MeasuredModel
    calibration: Path | None = None


def write_formats(
    names: Sequence[str],
    model: ExportedModel,
    out_dir: Path,
    bound: float,
    left_out: Mapping[str, str],
    threads: int = 0,
) -> FormatsSummary:
    """Writes a model in formats and measures each.

    Args:
        names: of the formats.
        model: the model.
        out_dir: receives a folder for each format that is kept.
        bound: AP that a format may lose.
        left_out: the reason by the name of each format that is not to be tried.
        threads: that compute where a format is measured; 0 for one a core.

    Raises:
        StorageError: the disk does not take it.
    """
    records = []
    for name in names:
        if name in left_out:
            record = FormatRecord(name=name, status="left out", reason=left_out[name])
        else:
            record = _written(name, model, out_dir, bound, threads)
        if record.reason:
            _log.warning("%s is %s: %s", name, record.status, record.reason)
        records.append(record)
    return FormatsSummary(
        split=model.measured.summary.split,
        images=model.measured.images,
        max_loss=bound,
        model=model.measured.figures,
        formats=tuple(records),
    )


def _written(name: str, model: ExportedModel, out_dir: Path, bound: float, threads: int) -> FormatRecord:
    """A format as it is kept, or why not; whole numbers retreat from the outputs until they lose little enough."""
    tries: list[Calibration | None] = [None]
    if parse_name(name)[1] == INT8 and model.calibration:
        tries = [Calibration(folder=model.calibration, level=level) for level in range(len(IN_FLOATS))]
    for number, calibration in enumerate(tries, start=1):
        record = _tried(name, model, out_dir, bound, threads, calibration)
        if record.status == "kept" or number == len(tries):
            break
        _log.info("%s: %s; trying with more of it in floats", name, record.reason)
    return record


def _tried(
    name: str, model: ExportedModel, out_dir: Path, bound: float, threads: int, calibration: Calibration | None
) -> FormatRecord:
    kind, precision = parse_name(name)
    folder = f"{FORMATS_FOLDER}/{kind.name}-{precision}"
    try:
        export_model(model.folder, out_dir / folder, kind.name, precision, model.reference, calibration)
        measured = model.measured.measure(out_dir / folder, threads)
    except StorageError:
        raise
    except BoxwrightError as error:
        shutil.rmtree(out_dir / folder, ignore_errors=True)
        return FormatRecord(name=name, status="dropped", reason=str(error))
    if reason := why_dropped(measured, bound):
        shutil.rmtree(out_dir / folder)
        return FormatRecord(name=name, status="dropped", reason=reason, measured=measured)
    return FormatRecord(name=name, status="kept", folder=folder, measured=measured)


def why_dropped(measured: MeasuredFormat, bound: float) -> str:
    """Why a measured format is not kept; empty where it is.

    Args:
        measured: the format.
        bound: AP that it may lose.
    """
    found = measured.difference
    if measured.not_finite_images:
        return f"it answers NaN or infinity on {measured.not_finite_images} images"
    if measured.loss is None:
        return "its AP cannot be measured: the evaluation images have no boxes"
    if measured.loss <= bound:
        return ""
    interval = "" if found.low is None else f" (95 % interval of the difference {found.low:+.4f} to {found.high:+.4f})"
    return (
        f"AP {found.candidate:.4f} beside {found.champion:.4f} of the model: {measured.loss:.4f} lost{interval}, where "
        f"gate_max_export_loss is {bound:g}"
    )
