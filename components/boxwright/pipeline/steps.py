"""The steps as TFX components: each hands folders to a pure function and records what lineage needs.

Work and its libraries are imported inside a step, so that reading the graph costs nothing. A step that fails keeps
no output of its own; what a person needs then (validation report, gate table) is beside the run's output.
"""
# TFX reads the annotations of these functions, so they must not be strings.
# ruff: noqa: D103

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component

from boxwright.config import RunConfig, RunInfo
from boxwright.errors import BoxwrightError, DataError
from boxwright.pipeline import artifacts


@component
def validate_annotations(
    config: Parameter[str], run_id: Parameter[str], report: OutputArtifact[artifacts.ValidationReport]
) -> None:
    from boxwright.dataset.report import PAGE_FILE, write_early_page
    from boxwright.dataset.validation import REPORT_FILE, Report
    from boxwright.dataset.validation import validate_annotations as work
    from boxwright.model import hyperparameters_of

    run, folder = RunConfig.model_validate_json(config), Path(report.uri)
    size = hyperparameters_of(run).image_size  # an unknown model or setting is told now, not after the download
    with _published_report(run, run_id, folder):
        try:
            summary = work(run, folder, size)
        finally:
            if (folder / REPORT_FILE).exists():
                write_early_page(folder / PAGE_FILE, Report.read(folder / REPORT_FILE), _anchors(run))
    report.images = sum(split["images"] for split in summary.splits.values())
    report.boxes = sum(split["boxes"] for split in summary.splits.values())
    report.report = _page_uri(run, run_id)


@component
def download_dataset(
    config: Parameter[str],
    run_id: Parameter[str],
    report: InputArtifact[artifacts.ValidationReport],
    dataset: OutputArtifact[artifacts.Dataset],
) -> None:
    from boxwright.dataset.snapshot import download_dataset as work
    from boxwright.dataset.validation import REPORT_FILE

    run, folder = RunConfig.model_validate_json(config), Path(dataset.uri)
    with _published_report(run, run_id, folder):
        summary = work(run, folder, Path(report.uri) / REPORT_FILE, _anchors(run))
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


def _anchors(run: RunConfig) -> Any:
    """The detector's anchors, where it has such, as plain numbers: the dataset's code knows no models."""
    from boxwright.dataset.report import Anchors
    from boxwright.model import hyperparameters_of, model_spec

    spec = model_spec(run.model_id)
    if spec.anchors is None:
        return None
    size = hyperparameters_of(run).image_size or spec.image_size
    return Anchors(size, spec.anchors.sizes, spec.anchors.aspect_ratios)


@component
def build_examples(
    config: Parameter[str],
    run_id: Parameter[str],
    dataset: InputArtifact[artifacts.Dataset],
    examples: OutputArtifact[artifacts.Examples],
) -> None:
    from boxwright.dataset.examples import build_examples as work
    from boxwright.model import hyperparameters_of

    run = RunConfig.model_validate_json(config)
    chosen = hyperparameters_of(run)
    summary = work(Path(dataset.uri), Path(examples.uri), chosen.validation_split, chosen.seed, run.beam_pipeline_args)
    examples.fingerprint, examples.classes = dataset.fingerprint, json.dumps(list(summary.classes))


@component
def fetch_pretrained(
    config: Parameter[str],
    run_id: Parameter[str],
    examples: InputArtifact[artifacts.Examples],
    seed: OutputArtifact[artifacts.SeedModel],
) -> None:
    from boxwright.model import fetch_pretrained as work

    found = work(RunConfig.model_validate_json(config), Path(seed.uri))
    seed.kind, seed.origin, seed.reason = found.kind, found.origin, found.reason


@component
def resolve_parent(
    config: Parameter[str],
    run: Parameter[str],
    examples: InputArtifact[artifacts.Examples],
    seed: OutputArtifact[artifacts.SeedModel],
) -> None:
    from boxwright.registry import resolve_parent as work

    classes = tuple(json.loads(examples.classes))
    found = work(RunConfig.model_validate_json(config), RunInfo.model_validate_json(run), classes, Path(seed.uri))
    seed.kind, seed.origin, seed.reason = found.kind, found.origin, found.reason


@component
def fine_tune(
    config: Parameter[str],
    run_id: Parameter[str],
    examples: InputArtifact[artifacts.Examples],
    seed: InputArtifact[artifacts.SeedModel],
    detector: OutputArtifact[artifacts.Detector],
) -> None:
    from boxwright.config import Settings
    from boxwright.evaluation import validation_ap
    from boxwright.packaging import run_folder
    from boxwright.registry import EpochMetrics
    from boxwright.training import Watch
    from boxwright.training import fine_tune as work

    run, settings = RunConfig.model_validate_json(config), Settings.from_environment()
    watch = Watch(validation_ap(Path(examples.uri)), EpochMetrics(settings.tracking_uri, run.model_name, run_id))
    checkpoints, mirror = settings.checkpoints(run_folder(run_id))
    summary = work(run, Path(examples.uri), Path(seed.uri), Path(detector.uri), checkpoints, watch, mirror)
    detector.model_id, detector.epochs = run.model_id, summary.epochs


@component
def evaluate(
    config: Parameter[str],
    run: Parameter[str],
    examples: InputArtifact[artifacts.Examples],
    seed: InputArtifact[artifacts.SeedModel],
    detector: InputArtifact[artifacts.Detector],
    evaluation: OutputArtifact[artifacts.Evaluation],
) -> None:
    from boxwright.evaluation import PUBLISHED
    from boxwright.evaluation import evaluate as work
    from boxwright.packaging import publish
    from boxwright.registry import fetch_champion

    settings, info, folder = (
        RunConfig.model_validate_json(config),
        RunInfo.model_validate_json(run),
        Path(evaluation.uri),
    )
    background = _background(settings, info, Path(examples.uri), Path(seed.uri))
    with TemporaryDirectory() as temporary:
        champion = fetch_champion(settings, info, Path(temporary, "champion"))
        summary = work(
            Path(examples.uri), Path(detector.uri), folder, settings.evaluation, champion, settings.gate, background
        )
    publish(settings, info.run_id, folder, list(PUBLISHED))
    evaluation.split = summary.split
    for name in ("AP", "AP50"):
        if summary.metrics[name] is not None:  # not measurable without boxes
            setattr(evaluation, name, summary.metrics[name])


def _background(config: RunConfig, run: RunInfo, examples_dir: Path, seed_dir: Path) -> Any:
    """What the report says of the run."""
    from boxwright import __version__
    from boxwright.dataset.examples import ExamplesSummary
    from boxwright.dataset.report import PAGE_FILE
    from boxwright.evaluation import DETECTIONS_FILE, METRICS_FILE
    from boxwright.evaluation.report import Background
    from boxwright.model import hyperparameters_of, read_seed

    examples, seed = ExamplesSummary.read(examples_dir), read_seed(seed_dir)
    lineage = {
        "Run": run.run_id,
        "Stands for": run.as_of.isoformat(),
        "Dataset": examples.fingerprint,
        "Trained from": f"{seed.origin} ({seed.reason})",
        "Model": config.model_id,
        "Code": __version__,
    }
    settings = json.loads(config.to_json()) | {"hyperparameters": hyperparameters_of(config).model_dump()}
    links = (METRICS_FILE, DETECTIONS_FILE, PAGE_FILE)
    return Background(
        f"{config.model_name}, run {run.run_id}", lineage, settings, anchors=_anchors(config), links=links
    )


@component
def export_label_map(
    config: Parameter[str],
    run_id: Parameter[str],
    examples: InputArtifact[artifacts.Examples],
    label_map: OutputArtifact[artifacts.LabelMap],
) -> None:
    from boxwright.dataset.examples import ExamplesSummary
    from boxwright.packaging import export_label_map as work

    described = ExamplesSummary.read(examples.uri)
    work(described.classes, described.category_ids, Path(label_map.uri))
    label_map.classes = json.dumps(list(described.classes))


@component
def package_model(
    config: Parameter[str],
    run_id: Parameter[str],
    examples: InputArtifact[artifacts.Examples],
    seed: InputArtifact[artifacts.SeedModel],
    detector: InputArtifact[artifacts.Detector],
    evaluation: InputArtifact[artifacts.Evaluation],
    label_map: InputArtifact[artifacts.LabelMap],
    package: OutputArtifact[artifacts.ModelPackage],
) -> None:
    from boxwright.packaging import RunParts
    from boxwright.packaging import package_model as work

    parts = RunParts(Path(examples.uri), Path(seed.uri), Path(detector.uri), Path(evaluation.uri), Path(label_map.uri))
    packed = work(RunConfig.model_validate_json(config), run_id, parts, Path(package.uri))
    package.archive, package.sha256 = packed.archive, packed.sha256


@component
def quality_gate(
    config: Parameter[str],
    run: Parameter[str],
    evaluation: InputArtifact[artifacts.Evaluation],
    package: InputArtifact[artifacts.ModelPackage],
    verdict: OutputArtifact[artifacts.GateVerdict],
) -> None:
    from boxwright.evaluation import EvaluationSummary, check_gate
    from boxwright.packaging import publish
    from boxwright.registry import record_failure, register_model

    settings, info = RunConfig.model_validate_json(config), RunInfo.model_validate_json(run)
    report = check_gate(EvaluationSummary.read(evaluation.uri), settings.gate)
    report.write(Path(verdict.uri))
    publish(settings, info.run_id, Path(verdict.uri), [report.FILE])
    outcome = "the model is not registered"
    if not report.passed:
        model = settings, info, Path(package.uri), Path(evaluation.uri), package.archive
        if settings.gate.on_failure == "reject":
            outcome = f"{register_model(*model, accepted=False).reference} is rejected"
        else:
            record_failure(*model)
    report.raise_if_failed(outcome)
    verdict.checks = len(report.checks)


@component
def register_model(
    config: Parameter[str],
    run: Parameter[str],
    package: InputArtifact[artifacts.ModelPackage],
    evaluation: InputArtifact[artifacts.Evaluation],
    verdict: InputArtifact[artifacts.GateVerdict],
    version: OutputArtifact[artifacts.RegisteredModel],
) -> None:
    from boxwright.registry import register_model as work

    registered = work(
        RunConfig.model_validate_json(config),
        RunInfo.model_validate_json(run),
        Path(package.uri),
        Path(evaluation.uri),
        package.archive,
    )
    _describe(version, registered)


@component
def reuse_version(
    config: Parameter[str],
    run: Parameter[str],
    examples: InputArtifact[artifacts.Examples],
    version: OutputArtifact[artifacts.RegisteredModel],
) -> None:
    from boxwright.registry import reuse_version as work

    found = work(RunConfig.model_validate_json(config), RunInfo.model_validate_json(run), examples.fingerprint)
    _describe(version, found)


def _describe(artifact: Any, version: Any) -> None:
    artifact.model_name, artifact.version, artifact.archive = version.name, version.version, version.archive_uri
    artifact.metrics, artifact.accepted = json.dumps(version.metrics), int(version.accepted)
