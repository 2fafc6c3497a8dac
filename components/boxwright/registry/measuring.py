"""Measures registered or archived models on any dataset, without a run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from boxwright.config import ANNOTATIONS_FILE, EvaluationConfig, RunConfig, parse_config
from boxwright.dataset.annotations import splits_below
from boxwright.dataset.examples import build_evaluation_examples
from boxwright.dataset.snapshot import download_dataset
from boxwright.evaluation import DETECTIONS_FILE, METRICS_FILE, Answering, Champion, EvaluationSummary, evaluate
from boxwright.evaluation.report import Background
from boxwright.registry.open_model import open_model, resolve_model

EXAMPLES = "examples"


def measure_model(
    model: str,
    dataset: str,
    report: Path | None = None,
    against: str | None = None,
    annotations_file: str = ANNOTATIONS_FILE,
    settings: EvaluationConfig | None = None,
    answering: Answering | None = None,
) -> EvaluationSummary:
    """Measures a model on every image of a dataset.

    Args:
        model: see `open_model`.
        dataset: folder or prefix with images/ and annotations; of one with splits below it the test split is taken,
            else the validation split.
        report: folder for the report and the detections; none is kept if unset.
        against: another model, to be measured on the same images as the one to beat.
        annotations_file: name of the annotations file.
        settings: what else is measured, and how much the report shows.
        answering: what answers for the model, whose archive is then not opened.

    Raises:
        UsageError, DataError: there is no such model or dataset, or they do not fit.
    """
    with ExitStack() as opened:
        source, champion = resolve_model(model), None
        detector = opened.enter_context(open_model(source) if answering is None else _nothing())
        if against:
            other = resolve_model(against)
            champion = Champion(other.reference, opened.enter_context(open_model(other)))
        folder, uri = opened.enter_context(examples_of(dataset, annotations_file))
        out = folder / "out"
        out.mkdir()
        lineage = {"Model": source.reference, "Dataset": uri}
        background = Background(source.reference, lineage=lineage, links=(METRICS_FILE, DETECTIONS_FILE))
        summary = evaluate(folder / EXAMPLES, detector, out, settings, champion, None, background, answering)
        if report:
            shutil.copytree(out, report, dirs_exist_ok=True)
    return summary


@contextmanager
def _nothing() -> Iterator[Path]:
    """An empty folder, for what needs no files."""
    with tempfile.TemporaryDirectory(prefix="boxwright-no-model-") as temporary:
        yield Path(temporary)


@contextmanager
def examples_of(dataset: str, annotations_file: str) -> Iterator[tuple[Path, str]]:
    """A folder with `examples/` of a dataset, for the time of the block, and the URI of the split that was taken."""
    config = _config(dataset, annotations_file)
    with tempfile.TemporaryDirectory(prefix="boxwright-evaluate-") as temporary:
        folder = Path(temporary)
        download_dataset(config, folder / "dataset")
        build_evaluation_examples(folder / "dataset", folder / EXAMPLES)
        yield folder, config.training


def _config(dataset: str, annotations_file: str) -> RunConfig:
    splits = splits_below(dataset, annotations_file)
    uri = splits.get("test") or splits.get("validation") or splits["training"]
    return parse_config({"training": uri, "annotations_file": annotations_file, "output": "unused"})
