"""Measures exports as the model itself was measured: on the same images, by the same code, beside it."""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path

from boxwright.dataset.annotations import load_annotations
from boxwright.evaluation import (
    DETECTIONS_FILE,
    Detections,
    EvaluationSummary,
    MeasuredFormat,
    Measurement,
    ModelFigures,
    compare,
)
from boxwright.exporting.answering import answer_split
from boxwright.exporting.facts import ExportFacts


class MeasuredModel:
    """A model that was evaluated, to hold its exports against.

    Args:
        examples_dir: folder of `build_examples`.
        evaluation_dir: folder of `evaluate` on it, with `metrics.json` and `detections.json`.

    Attributes:
        summary: of that evaluation.
        figures: of the model.
        images: the number of images that it was measured on.

    Raises:
        DataError: the evaluation's files are not there.
    """

    def __init__(self, examples_dir: Path, evaluation_dir: Path) -> None:
        self.summary = EvaluationSummary.read(evaluation_dir)
        self.figures = ModelFigures.of(self.summary)
        self._examples_dir = examples_dir
        self._annotations = load_annotations(examples_dir / self.summary.split / "annotations.json")
        self.images = len(self._annotations.images)
        self._detections_file = evaluation_dir / DETECTIONS_FILE

    @cached_property
    def _measurement(self) -> Measurement:
        detections = json.loads(self._detections_file.read_text())
        return Measurement(self._annotations, Detections.of_results(self._annotations, detections))

    def measure(self, export_dir: Path, threads: int = 0) -> MeasuredFormat:
        """Runs an export of the model on the same images.

        Args:
            export_dir: of `export_model`.
            threads: that compute; 0 for one a core.

        Raises:
            DataError, UsageError, TrainingError: it does not run, or knows other classes.
        """
        answers = answer_split(export_dir, self._examples_dir, self.summary.split, threads)
        found = Measurement(self._annotations, Detections.of_results(self._annotations, answers.detections))
        comparison = compare(self._measurement, found, ExportFacts.read(export_dir).reference)
        speeds = answers.record.speeds
        return MeasuredFormat(
            AP=found.metrics.AP,
            AP50=found.metrics.AP50,
            per_class=comparison.per_class,
            difference=comparison.metrics["AP"],
            not_finite_images=answers.record.not_finite_images,
            **speeds.model_dump(),
            threads=threads or len(os.sched_getaffinity(0)),
            size_bytes=size_of(export_dir),
            memory_bytes=answers.record.memory_bytes,
        )


def size_of(folder: Path) -> int:
    """Bytes of all files of an export."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
