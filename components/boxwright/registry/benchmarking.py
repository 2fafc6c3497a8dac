"""Holds the formats of a registered or archived model against each other on this machine: AP, milliseconds, size."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from boxwright.config import ANNOTATIONS_FILE, EXPORT_NAMES, EvaluationConfig
from boxwright.errors import UsageError
from boxwright.evaluation import FormatsSummary, evaluate
from boxwright.exporting import ExportedModel, MeasuredModel, check_calibration, parse_name, write_formats
from boxwright.registry.measuring import EXAMPLES, examples_of
from boxwright.registry.open_model import open_model, resolve_model

_CPUS = Path("/proc/cpuinfo")
# Whatever a format loses is shown.
_ANY_LOSS = 1.0


@dataclass(frozen=True)
class Benchmark:
    """A model and its formats on this machine.

    Attributes:
        reference: the model.
        machine: its processor.
        threads: that computed; 0 for one a core.
        summary: what was measured.
    """

    reference: str
    machine: str
    threads: int
    summary: FormatsSummary


def benchmark_model(
    model: str,
    dataset: str,
    formats: Sequence[str] = (),
    threads: int = 0,
    annotations_file: str = ANNOTATIONS_FILE,
    calibration: Path | None = None,
) -> Benchmark:
    """Measures a model and its formats on every image of a dataset.

    Args:
        model: see `open_model`.
        dataset: see `measure_model`.
        formats: names such as `litert` or `litert:float16`; all that can be written here if empty.
        threads: that compute; 0 for one a core.
        annotations_file: name of the annotations file.
        calibration: folder of images for the formats in whole numbers.

    Raises:
        UsageError, DataError: there is no such model, dataset or format, or they do not fit.
    """
    names = [f"{kind.name}:{precision}" for kind, precision in map(parse_name, formats)]
    left_out: dict[str, str] = {}
    for name in names:
        _check(name, calibration)
    if not names:
        names = list(EXPORT_NAMES)
        left_out = {name: why for name in names if (why := _why_not(name, calibration))}
    if threads:
        _limit_tensorflow(threads)
    source = resolve_model(model)
    with open_model(source) as detector, examples_of(dataset, annotations_file) as (folder, _):
        out = folder / "out"
        out.mkdir()
        evaluate(folder / EXAMPLES, detector, out, EvaluationConfig(gallery_images=0, worst_images=0))  # type: ignore[call-arg]
        measured = MeasuredModel(folder / EXAMPLES, out)
        exported = ExportedModel(detector, source.reference, measured, calibration)
        with tempfile.TemporaryDirectory(prefix="boxwright-benchmark-") as temporary:
            summary = write_formats(names, exported, Path(temporary), _ANY_LOSS, left_out, threads)
    return Benchmark(source.reference, _machine(), threads, summary)


def _check(name: str, calibration: Path | None) -> None:
    kind, precision = parse_name(name)
    kind.check_installed(precision)
    check_calibration(precision, calibration is not None)


def _why_not(name: str, calibration: Path | None) -> str:
    try:
        _check(name, calibration)
    except UsageError as error:
        return str(error)
    return ""


def _limit_tensorflow(threads: int) -> None:
    """It takes the number before its first operation only."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def _machine() -> str:
    lines = _CPUS.read_text().splitlines() if _CPUS.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
