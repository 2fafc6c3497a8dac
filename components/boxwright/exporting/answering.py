"""The process that runs an export over images: `python -m boxwright.exporting.answering` with the arguments of `main`.

In a process of its own it runs as it does elsewhere, without TensorFlow and its threads beside it, and what it needs of
memory can be told. It writes `answers.json` and `answers-detections.json`.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boxwright.config import Frozen
from boxwright.dataset.annotations import load_annotations
from boxwright.dataset.examples import decode_example, read_records, shards_of
from boxwright.evaluation import category_ids_of, coco_results
from boxwright.exporting.apart import run_apart, work_apart
from boxwright.exporting.detector import ExportedDetector, Look
from boxwright.exporting.pixels import read_image
from boxwright.storage import StoredRecord, write_json

_DETECTIONS_FILE = "answers-detections.json"
_WARM_UP = 3
# Linux's account of this process's memory; that of `getrusage` begins with what the parent had.
_STATUS = Path("/proc/self/status")


class Speeds(Frozen):
    """Medians over the images, in milliseconds.

    Attributes:
        network_ms: in the network alone.
        latency_ms: from encoded bytes to detections.
        latency_p95_ms: 95 of 100 take no longer.
    """

    network_ms: float
    latency_ms: float
    latency_p95_ms: float


class AnswersRecord(StoredRecord):
    """The content of `answers.json`: all but the detections.

    Attributes:
        not_finite_images: those on which the network answers NaN or infinity.
        speeds: on this machine.
        memory_bytes: the most that the process had; None where the machine does not say.
    """

    FILE = "answers.json"
    ADVICE = "run it again"

    not_finite_images: int
    speeds: Speeds
    memory_bytes: int | None


@dataclass(frozen=True)
class Answers:
    """The answers of an export on a split; the detections are COCO results."""

    record: AnswersRecord
    detections: list[dict[str, Any]]


def answer_split(export_dir: Path, examples_dir: Path, split: str, threads: int = 0) -> Answers:
    """Runs an export over the images of a split, one by one, in a process of its own.

    Args:
        export_dir: of `export_model`.
        examples_dir: folder of `build_examples`.
        split: whose images.
        threads: that compute; 0 for one a core.

    Raises:
        DataError, UsageError: it cannot be loaded, or knows none of the split's classes.
        TrainingError: the process was ended from outside.
    """
    with tempfile.TemporaryDirectory(prefix="boxwright-answers-") as temporary:
        folders = [str(export_dir.absolute()), str(examples_dir.absolute())]
        arguments = [*folders, split, str(threads), temporary]
        run_apart(__name__, arguments, Path(temporary), f"{export_dir.name} cannot be measured")
        detections = json.loads(Path(temporary, _DETECTIONS_FILE).read_text())
        return Answers(AnswersRecord.read(temporary), detections)


def main() -> int:
    """Answers; returns the exit code. Arguments: export, examples, split, threads, and the folder to write into."""
    export_dir, examples_dir, split, threads, out_dir = sys.argv[1:]

    def work() -> None:
        detector = ExportedDetector(Path(export_dir), int(threads))
        write_answers(detector, Path(examples_dir), split, Path(out_dir))

    return work_apart(Path(out_dir), work)


def write_answers(detector: ExportedDetector, examples_dir: Path, split: str, out_dir: Path) -> None:
    """Writes what `answer_split` reads."""
    annotations = load_annotations(examples_dir / split / "annotations.json")
    category_ids = category_ids_of(detector.facts.classes, annotations)
    detections: list[dict[str, Any]] = []
    times: list[tuple[float, float]] = []
    broken = 0
    for features in _examples(shards_of(examples_dir, split)):
        (encoded,), (source_id,) = features["image/encoded"], features["image/source_id"]
        for _ in range(0 if times else _WARM_UP):
            _timed(detector, encoded)
        look, whole = _timed(detector, encoded)
        times.append((whole, look.network_ms))
        broken += not look.is_finite
        size = (*features["image/height"], *features["image/width"])
        detections += coco_results(look.found, int(source_id), size, category_ids)
    whole_times, network_times = zip(*times, strict=True)
    speeds = Speeds(
        network_ms=statistics.median(network_times),
        latency_ms=statistics.median(whole_times),
        latency_p95_ms=float(np.percentile(whole_times, 95)),
    )
    write_json(out_dir / _DETECTIONS_FILE, detections)
    AnswersRecord(not_finite_images=broken, speeds=speeds, memory_bytes=_peak_memory()).write(out_dir)


def _examples(shards: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for shard in shards:
        with shard.open("rb") as file:
            for record in read_records(file):
                yield decode_example(record)


def _timed(detector: ExportedDetector, encoded: bytes) -> tuple[Look, float]:
    """A look at an image, and milliseconds from its bytes on."""
    start = time.perf_counter()
    look = detector.look(read_image(encoded))
    return look, 1000 * (time.perf_counter() - start)


def _peak_memory() -> int | None:
    if not _STATUS.exists():
        return None
    (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")] or [""]
    return int(line.split()[1]) * 1024 if line else None


if __name__ == "__main__":
    sys.exit(main())
