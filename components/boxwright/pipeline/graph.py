"""The pipeline: its nodes and what flows between them, in one place.

TFX names a node as its function is named; the table in `nodes.py` has the same names. Which of the two seeds runs is
decided outside, per run; training takes whichever is there.
"""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline
from tfx.types.channel_utils import union

from boxwright.config import PIPELINE, RunConfig, RunInfo, Settings
from boxwright.pipeline import data_steps, model_steps
from boxwright.pipeline.addresses import pipeline_root


def create_pipeline(config: RunConfig, run: RunInfo, settings: Settings) -> Pipeline:
    """The pipeline of one run.

    Args:
        config: what the user decided.
        run: its id, and the time it stands for.
        settings: where artifacts and their metadata are kept.
    """
    shared: dict[str, Any] = {"config": config.to_json(), "run_id": run.run_id}
    dated = {"config": config.to_json(), "run": run.model_dump_json()}

    validation = data_steps.validate_annotations(**shared)
    dataset = data_steps.download_dataset(**shared, report=validation.outputs["report"])
    examples = data_steps.build_examples(**shared, dataset=dataset.outputs["dataset"])
    pretrained = model_steps.fetch_pretrained(**shared, examples=examples.outputs["examples"])
    parent = model_steps.resolve_parent(**dated, examples=examples.outputs["examples"])
    seed = union([pretrained.outputs["seed"], parent.outputs["seed"]])
    # Of a run without a study there is none, and training does without.
    chosen = model_steps.choose_best(**dated, examples=examples.outputs["examples"])
    detector = model_steps.fine_tune(
        **shared, examples=examples.outputs["examples"], seed=seed, chosen=chosen.outputs["chosen"]
    )
    evaluation = model_steps.evaluate(
        **dated, examples=examples.outputs["examples"], seed=seed, detector=detector.outputs["detector"]
    )
    label_map = model_steps.export_label_map(**shared, examples=examples.outputs["examples"])
    package = model_steps.package_model(
        **shared,
        examples=examples.outputs["examples"],
        seed=seed,
        detector=detector.outputs["detector"],
        evaluation=evaluation.outputs["evaluation"],
        label_map=label_map.outputs["label_map"],
    )
    formats = model_steps.export_formats(
        **shared,
        examples=examples.outputs["examples"],
        evaluation=evaluation.outputs["evaluation"],
        package=package.outputs["package"],
    )
    verdict = model_steps.quality_gate(
        **dated,
        evaluation=evaluation.outputs["evaluation"],
        package=package.outputs["package"],
        formats=formats.outputs["formats"],
    )
    version = model_steps.register_model(
        **dated,
        package=package.outputs["package"],
        evaluation=evaluation.outputs["evaluation"],
        formats=formats.outputs["formats"],
        verdict=verdict.outputs["verdict"],
    )

    reused = model_steps.reuse_version(**dated, examples=examples.outputs["examples"])

    nodes: list[BaseNode] = [
        validation, dataset, examples, pretrained, parent, reused, chosen, detector, evaluation, label_map,
        package, formats, verdict, version,
    ]  # fmt: skip
    return Pipeline(
        pipeline_name=PIPELINE,
        pipeline_root=pipeline_root(settings),
        components=nodes,
        # Not where ML Metadata is: what is compiled has no password.
        enable_cache=False,
    )
