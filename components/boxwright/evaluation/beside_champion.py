"""A model that was measured before, held against another champion on the same images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from boxwright.dataset.annotations import load_annotations
from boxwright.dataset.examples import shards_of
from boxwright.evaluation.comparison import compare
from boxwright.evaluation.detections import Detections
from boxwright.evaluation.evaluating import Champion, answer_of_champion
from boxwright.evaluation.metrics import Measurement
from boxwright.evaluation.records import EvaluationSummary


def beside_champion(
    summary: EvaluationSummary, detections: Path, champion: Champion | None, examples_dir: Path, out_dir: Path
) -> EvaluationSummary:
    """The same evaluation beside another champion, which answers on the same images now.

    Args:
        summary: what `evaluate` said of the model.
        detections: its `detections.json`.
        champion: the model to beat; None where there is none.
        examples_dir: folder of `build_examples`, of the same dataset.
        out_dir: receives what the champion answers.

    Returns:
        `summary` with `champion` and `comparison` of now. Where they cannot be compared, the champion has the problem.
    """
    if champion is None:
        return summary.model_copy(update={"champion": None, "comparison": None})
    if not detections.exists():
        champion = replace(champion, folder=None, problem=champion.problem or f"{detections.name} is gone")
    annotations = load_annotations(examples_dir / summary.split / "annotations.json")
    shards = shards_of(examples_dir, summary.split)
    beaten, described = answer_of_champion(champion, annotations, shards, out_dir)
    comparison = None
    if beaten is not None:
        found = Detections.of_results(annotations, json.loads(detections.read_text()))
        comparison = compare(beaten.measurement, Measurement(annotations, found), champion.reference)
    return summary.model_copy(update={"champion": described, "comparison": comparison})
