"""The steps after the data as TFX components: seed, training, measurement, package, gate and version of a model.

They have the shape that `data_steps.py` describes.
"""
# TFX reads the annotations of these functions, so they must not be strings.
# ruff: noqa: D103

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.artifact import Artifact

from boxwright.config import RunConfig, RunInfo
from boxwright.pipeline.addresses import folder_of
from boxwright.pipeline.data_steps import Examples, anchors_of
from boxwright.pipeline.properties import REAL, TEXT, WHOLE


class SeedModel(Artifact):
    """The start of a training. One type for both kinds: a TFX union channel joins channels of one type only."""

    TYPE_NAME = "BoxwrightSeedModel"
    PROPERTIES = {"kind": TEXT, "origin": TEXT, "reason": TEXT}


@component
def fetch_pretrained(
    config: Parameter[str],
    run_id: Parameter[str],
    examples: InputArtifact[Examples],
    seed: OutputArtifact[SeedModel],
) -> None:
    from boxwright.model import fetch_pretrained as work

    found = work(RunConfig.model_validate_json(config), folder_of(seed))
    seed.kind, seed.origin, seed.reason = found.kind, found.origin, found.reason


@component
def resolve_parent(
    config: Parameter[str],
    run: Parameter[str],
    examples: InputArtifact[Examples],
    seed: OutputArtifact[SeedModel],
) -> None:
    from boxwright.registry import resolve_parent as work

    classes = tuple(json.loads(examples.classes))
    found = work(RunConfig.model_validate_json(config), RunInfo.model_validate_json(run), classes, folder_of(seed))
    seed.kind, seed.origin, seed.reason = found.kind, found.origin, found.reason


class TunedSettings(Artifact):
    """The hyperparameters that a study chose, as a JSON object."""

    TYPE_NAME = "BoxwrightTunedSettings"
    PROPERTIES = {"study": TEXT, "settings": TEXT}


@component
def choose_best(
    config: Parameter[str],
    run: Parameter[str],
    examples: InputArtifact[Examples],
    chosen: OutputArtifact[TunedSettings],
) -> None:
    from boxwright.config import TUNED_FILE
    from boxwright.storage import write_json

    info = RunInfo.model_validate_json(run)
    chosen.study, chosen.settings = info.study or "", info.tuned or "{}"
    write_json(folder_of(chosen) / TUNED_FILE, json.loads(chosen.settings))


class Detector(Artifact):
    """Trained weights and how to build the network around them."""

    TYPE_NAME = "BoxwrightDetector"
    PROPERTIES = {"model_id": TEXT, "epochs": WHOLE}


@component
def fine_tune(
    config: Parameter[str],
    run_id: Parameter[str],
    examples: InputArtifact[Examples],
    seed: InputArtifact[SeedModel],
    detector: OutputArtifact[Detector],
    chosen: InputArtifact[TunedSettings] = None,
) -> None:
    from boxwright.config import Settings
    from boxwright.evaluation import validation_ap
    from boxwright.model import hyperparameters_of
    from boxwright.packaging import run_folder
    from boxwright.pipeline.machines import first_machine
    from boxwright.registry import TrainingRun
    from boxwright.training import Watch, is_chief
    from boxwright.training import fine_tune_seeds as work

    run, settings = RunConfig.model_validate_json(config), Settings.from_environment()
    look = validation_ap(folder_of(examples))
    told = TrainingRun(run.model_name, run_id)
    watch = Watch(
        look, told.epoch, look.glance, lambda progress: told.progress(progress.model_dump()), told.should_stop
    )
    checkpoints, _ = settings.checkpoints(run_folder(run_id))
    chosen = {"model_id": run.model_id, **hyperparameters_of(run).model_dump()}
    with (
        first_machine(run, run_id, settings) as mirror,
        told.under_way(chosen) if is_chief() else nullcontext(),  # of several machines one tells
    ):
        summary = work(run, folder_of(examples), folder_of(seed), folder_of(detector), checkpoints, watch, mirror)
    detector.model_id, detector.epochs = run.model_id, summary.epochs


class Evaluation(Artifact):
    """Metrics, detections and pictures."""

    TYPE_NAME = "BoxwrightEvaluation"
    PROPERTIES = {"split": TEXT, "AP": REAL, "AP50": REAL}


@component
def evaluate(
    config: Parameter[str],
    run: Parameter[str],
    examples: InputArtifact[Examples],
    seed: InputArtifact[SeedModel],
    detector: InputArtifact[Detector],
    evaluation: OutputArtifact[Evaluation],
) -> None:
    from boxwright.evaluation import PUBLISHED
    from boxwright.evaluation import evaluate as work
    from boxwright.packaging import publish
    from boxwright.registry import open_champion

    settings, info, folder = (
        RunConfig.model_validate_json(config),
        RunInfo.model_validate_json(run),
        folder_of(evaluation),
    )
    background = _background(settings, info, folder_of(examples), folder_of(seed), folder_of(detector))
    with open_champion(settings, info) as champion:
        summary = work(
            folder_of(examples), folder_of(detector), folder, settings.evaluation, champion, settings.gate, background
        )
    publish(settings, info.run_id, folder, list(PUBLISHED))
    evaluation.split = summary.split
    for name in ("AP", "AP50"):
        if summary.metrics[name] is not None:  # not measurable without boxes
            setattr(evaluation, name, summary.metrics[name])


def _background(config: RunConfig, run: RunInfo, examples_dir: Path, seed_dir: Path, model_dir: Path) -> Any:
    """The facts of the run for its report."""
    from boxwright import __version__
    from boxwright.dataset.examples import ExamplesSummary
    from boxwright.dataset.report import PAGE_FILE
    from boxwright.evaluation import DETECTIONS_FILE, METRICS_FILE
    from boxwright.evaluation.report import Background
    from boxwright.model import hyperparameters_of, read_seed
    from boxwright.training import told_of

    examples, seed = ExamplesSummary.read(examples_dir), read_seed(seed_dir)
    lineage = {
        "Run": run.run_id,
        "Stands for": run.as_of.isoformat(),
        "Dataset": examples.fingerprint,
        "Trained from": f"{seed.origin} ({seed.reason})",
        "Model": config.model_id,
        "Code": __version__,
        **told_of(model_dir),
    }
    settings = json.loads(config.to_json()) | {"hyperparameters": hyperparameters_of(config).model_dump()}
    links = (METRICS_FILE, DETECTIONS_FILE, PAGE_FILE)
    return Background(
        f"{config.model_name}, run {run.run_id}", lineage, settings, anchors=anchors_of(config), links=links
    )


class LabelMap(Artifact):
    """Class names by index, as JSON and as protobuf text."""

    TYPE_NAME = "BoxwrightLabelMap"
    PROPERTIES = {"classes": TEXT}


@component
def export_label_map(
    config: Parameter[str],
    run_id: Parameter[str],
    examples: InputArtifact[Examples],
    label_map: OutputArtifact[LabelMap],
) -> None:
    from boxwright.dataset.examples import ExamplesSummary
    from boxwright.packaging import export_label_map as work

    described = ExamplesSummary.read(folder_of(examples))
    work(described.classes, described.category_ids, folder_of(label_map))
    label_map.classes = json.dumps(list(described.classes))


class ModelPackage(Artifact):
    """The archive that was uploaded, and what went into it."""

    TYPE_NAME = "BoxwrightModelPackage"
    PROPERTIES = {"archive": TEXT, "sha256": TEXT}


@component
def package_model(
    config: Parameter[str],
    run_id: Parameter[str],
    examples: InputArtifact[Examples],
    seed: InputArtifact[SeedModel],
    detector: InputArtifact[Detector],
    evaluation: InputArtifact[Evaluation],
    label_map: InputArtifact[LabelMap],
    package: OutputArtifact[ModelPackage],
) -> None:
    from boxwright.packaging import RunParts
    from boxwright.packaging import package_model as work

    parts = RunParts(*map(folder_of, (examples, seed, detector, evaluation, label_map)))
    packed = work(RunConfig.model_validate_json(config), run_id, parts, folder_of(package))
    package.archive, package.sha256 = packed.archive, packed.sha256


class ExportedFormats(Artifact):
    """The formats beside the archive: the names of those that are kept, and of those that are not, one a comma."""

    TYPE_NAME = "BoxwrightExportedFormats"
    PROPERTIES = {"kept": TEXT, "dropped": TEXT}


@component
def export_formats(
    config: Parameter[str],
    run_id: Parameter[str],
    examples: InputArtifact[Examples],
    evaluation: InputArtifact[Evaluation],
    package: InputArtifact[ModelPackage],
    formats: OutputArtifact[ExportedFormats],
) -> None:
    from boxwright.exporting import MeasuredRun
    from boxwright.exporting import export_formats as work
    from boxwright.packaging import ARCHIVE

    measured = MeasuredRun(folder_of(package) / ARCHIVE, package.archive, folder_of(examples), folder_of(evaluation))
    summary = work(RunConfig.model_validate_json(config), run_id, measured, folder_of(formats))
    formats.kept = ", ".join(one.name for one in summary.kept)
    formats.dropped = ", ".join(one.name for one in summary.formats if one.status != "kept")


class GateVerdict(Artifact):
    """The quality gate's checks; it exists only when all passed."""

    TYPE_NAME = "BoxwrightGateVerdict"
    PROPERTIES = {"checks": WHOLE}


@component
def quality_gate(
    config: Parameter[str],
    run: Parameter[str],
    evaluation: InputArtifact[Evaluation],
    package: InputArtifact[ModelPackage],
    formats: InputArtifact[ExportedFormats],
    verdict: OutputArtifact[GateVerdict],
) -> None:
    from boxwright.evaluation import EvaluationSummary, FormatsSummary, check_gate
    from boxwright.packaging import publish
    from boxwright.registry import record_failure, register_model

    settings, info = RunConfig.model_validate_json(config), RunInfo.model_validate_json(run)
    written = FormatsSummary.read(folder_of(formats))
    report = check_gate(EvaluationSummary.read(folder_of(evaluation)), settings.gate, written, settings.export.on_loss)
    report.write(folder_of(verdict))
    publish(settings, info.run_id, folder_of(verdict), [report.FILE])
    outcome = "the model is not registered"
    if not report.passed:
        model = settings, info, folder_of(package), folder_of(evaluation), package.archive, written
        if settings.gate.on_failure == "reject":
            outcome = f"{register_model(*model, accepted=False).reference} is rejected"
        else:
            record_failure(*model)
    report.raise_if_failed(outcome)
    verdict.checks = len(report.checks)


class RegisteredModel(Artifact):
    """A version in the model registry; `metrics` is a JSON object, `accepted` 1 or 0."""

    TYPE_NAME = "BoxwrightRegisteredModel"
    PROPERTIES = {"model_name": TEXT, "version": WHOLE, "archive": TEXT, "metrics": TEXT, "accepted": WHOLE}


@component
def register_model(
    config: Parameter[str],
    run: Parameter[str],
    package: InputArtifact[ModelPackage],
    evaluation: InputArtifact[Evaluation],
    formats: InputArtifact[ExportedFormats],
    verdict: InputArtifact[GateVerdict],
    version: OutputArtifact[RegisteredModel],
) -> None:
    from boxwright.evaluation import FormatsSummary
    from boxwright.registry import register_model as work

    registered = work(
        RunConfig.model_validate_json(config),
        RunInfo.model_validate_json(run),
        folder_of(package),
        folder_of(evaluation),
        package.archive,
        FormatsSummary.read(folder_of(formats)),
    )
    _describe(version, registered)


@component
def reuse_version(
    config: Parameter[str],
    run: Parameter[str],
    examples: InputArtifact[Examples],
    version: OutputArtifact[RegisteredModel],
) -> None:
    from boxwright.registry import reuse_version as work

    settings, info = RunConfig.model_validate_json(config), RunInfo.model_validate_json(run)
    found = work(settings, info, examples.fingerprint, folder_of(examples))
    _describe(version, found)


def _describe(artifact: Any, version: Any) -> None:
    artifact.model_name, artifact.version, artifact.archive = version.name, version.version, version.archive_uri
    artifact.metrics, artifact.accepted = json.dumps(version.metrics), int(version.accepted)
