"""The steps over data as TFX components: they check, fetch and prepare what a run learns from.

A step hands folders to a pure function and records on its artifact what lineage needs; the type of that artifact
stands above it. Work and its libraries are imported inside a step, so that reading the graph costs nothing. A step
that fails keeps no output of its own; what a person needs then (the validation report) is beside the run's output.
"""
# TFX reads the annotations of these functions, so they must not be strings.
# ruff: noqa: D103

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.artifact import Artifact

from boxwright.config import RunConfig, Settings
from boxwright.errors import BoxwrightError, DataError
from boxwright.pipeline.addresses import folder_of, shared_place
from boxwright.pipeline.properties import TEXT, WHOLE

log = logging.getLogger("boxwright")


class ValidationReport(Artifact):
    """Every rule checked on the annotations; `report` is the URI of the page for people."""

    TYPE_NAME = "BoxwrightValidationReport"
    PROPERTIES = {"images": WHOLE, "boxes": WHOLE, "report": TEXT}


@component
def validate_annotations(
    config: Parameter[str], run_id: Parameter[str], report: OutputArtifact[ValidationReport]
) -> None:
    from boxwright.dataset.report import PAGE_FILE, write_early_page
    from boxwright.dataset.validation import REPORT_FILE, Report
    from boxwright.dataset.validation import validate_annotations as work
    from boxwright.exporting import formats_left_out
    from boxwright.model import hyperparameters_of

    run, folder = RunConfig.model_validate_json(config), folder_of(report)
    size = hyperparameters_of(run).image_size  # an unknown model or setting is told now, not after the download
    for name, reason in formats_left_out(run).items():
        log.warning("%s will be left out: %s", name, reason)
    with _published_report(run, run_id, folder):
        try:
            summary = work(run, folder, size)
        finally:
            if (folder / REPORT_FILE).exists():
                write_early_page(folder / PAGE_FILE, Report.read(folder / REPORT_FILE), anchors_of(run))
    report.images = sum(split["images"] for split in summary.splits.values())
    report.boxes = sum(split["boxes"] for split in summary.splits.values())
    report.report = _page_uri(run, run_id)


class Dataset(Artifact):
    """Images and annotations of all splits, on disk and checked; `report` is the URI of the page for people."""

    TYPE_NAME = "BoxwrightDataset"
    PROPERTIES = {"fingerprint": TEXT, "images": WHOLE, "boxes": WHOLE, "report": TEXT}


@component
def download_dataset(
    config: Parameter[str],
    run_id: Parameter[str],
    report: InputArtifact[ValidationReport],
    dataset: OutputArtifact[Dataset],
) -> None:
    from boxwright.dataset.snapshot import download_dataset as work
    from boxwright.dataset.validation import REPORT_FILE
    from boxwright.packaging import run_folder

    run, folder = RunConfig.model_validate_json(config), folder_of(dataset)
    parts = Settings.from_environment().parts_place(run_folder(run_id))
    with _published_report(run, run_id, folder):
        summary = work(run, folder, folder_of(report) / REPORT_FILE, anchors_of(run), parts_uri=parts)
    dataset.fingerprint = summary.fingerprint
    dataset.images = sum(split["images"] for split in summary.splits.values())
    dataset.boxes = sum(split["boxes"] for split in summary.splits.values())
    dataset.report = _page_uri(run, run_id)


@contextmanager
def _published_report(run: RunConfig, run_id: str, folder: Path) -> Iterator[None]:
    """Publishes the validation report that the block leaves in `folder`, also where the dataset fails."""
    from boxwright.dataset.report import PAGE_FILE
    from boxwright.dataset.validation import DOCS_FOLDER, REPORT_FILE, RESULT_FILE
    from boxwright.packaging import publish

    names = [REPORT_FILE, PAGE_FILE, RESULT_FILE, DOCS_FOLDER]
    try:
        yield
    except DataError as error:
        try:
            publish(run, run_id, folder, names)
        except BoxwrightError:
            raise error from None
        raise DataError(f"{error}; see {_page_uri(run, run_id)}") from None
    publish(run, run_id, folder, names)


def _page_uri(run: RunConfig, run_id: str) -> str:
    from boxwright.dataset.report import PAGE_FILE
    from boxwright.packaging import output_uri

    return output_uri(run, run_id, PAGE_FILE)


def anchors_of(run: RunConfig) -> Any:
    """The detector's input and anchors, where it has such, as plain numbers: the dataset's code knows no models."""
    from boxwright.dataset.report import Anchors
    from boxwright.dataset.validation import ModelInput
    from boxwright.model import hyperparameters_of, model_spec

    spec = model_spec(run.model_id)
    seen = ModelInput.of(hyperparameters_of(run), hyperparameters_of(run).image_size or spec.image_size)
    sizes, ratios = (spec.anchors.sizes, spec.anchors.aspect_ratios) if spec.anchors else ((), ())
    return Anchors(seen.size, sizes, ratios, seen.keep_aspect, seen.tile_size)


class Examples(Artifact):
    """TFRecord shards of all splits."""

    TYPE_NAME = "BoxwrightExamples"
    PROPERTIES = {"fingerprint": TEXT, "classes": TEXT}


@component
def build_examples(
    config: Parameter[str],
    run_id: Parameter[str],
    dataset: InputArtifact[Dataset],
    examples: OutputArtifact[Examples],
) -> None:
    from boxwright.dataset.examples import SharedPlace
    from boxwright.dataset.examples import build_examples as work
    from boxwright.model import hyperparameters_of
    from boxwright.packaging import run_folder

    run, settings = RunConfig.model_validate_json(config), Settings.from_environment()
    chosen = hyperparameters_of(run)
    place = None
    if settings.shared_root:
        plans = settings.plans_place(run_folder(run_id))
        place = SharedPlace(shared_place(examples.uri, settings), plans, run.storage)
    summary = work(
        folder_of(dataset),
        folder_of(examples),
        chosen.validation_split,
        chosen.seed,
        settings.beam_args,
        place=place,
    )
    examples.fingerprint, examples.classes = dataset.fingerprint, json.dumps(list(summary.classes))
