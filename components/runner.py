"""Runs the pipeline's nodes through TFX's portable launcher: one at a time for Airflow, or all of them in order.

The run id is the TFX pipeline run id, so processes that know it find each other's artifacts in ML Metadata. TFX
keeps one execution per run and node: a node that was killed is taken up again, one that succeeded is not repeated.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.config import RunConfig, Settings
from components.errors import StorageError
from components.lineage import connection_config, node_outputs
from components.release.outputs import RUN_FILE
from components.release.parents import choose_seed
from components.run_info import RunInfo, new_run


@contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Makes `import tensorflow` fail: TFX imports it when it can, ten seconds long, and does without it as well."""
    if "tensorflow" in sys.modules:
        yield
        return
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["tensorflow"]


def run_node(config: RunConfig, run: RunInfo, node_id: str) -> dict[str, Any]:
    """Runs one node of the run's pipeline.

    Args:
        config: what the user decided; the same for every node of a run.
        run: the run; nodes find the outputs of earlier ones by its id.
        node_id: one of `components.pipeline.NODES`.

    Returns:
        The properties of the node's output artifact, and its `uri`.

    Raises:
        BoxwrightError: what the step raised.
        StorageError: when the outputs of an earlier node are not there.
    """
    settings = Settings.from_environment()
    settings.home.mkdir(parents=True, exist_ok=True)
    with _without_tensorflow():
        from tfx.orchestration import metadata
        from tfx.orchestration.local import runner_utils
        from tfx.orchestration.portable import launcher

        pipeline = _compile(config, run, settings)
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        node = next(item.pipeline_node for item in pipeline.nodes if item.pipeline_node.node_info.id == node_id)
        one_node = launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=metadata.Metadata(connection_config(settings)),
            pipeline_info=pipeline.pipeline_info,
            pipeline_runtime_spec=pipeline.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(deployment, node_id),
        )
    one_node.launch()
    outputs = node_outputs(run.run_id, node_id, settings)
    if outputs is None:
        # TFX skips a node whose inputs are missing without a word.
        raise StorageError(
            f"{node_id} of run {run.run_id} did not run: an earlier step's output is missing; clear that step"
        )
    return outputs


def run_pipeline(
    config: RunConfig, run_id: str | None = None, on_step: Callable[[str], None] = lambda node_id: None
) -> dict[str, Any]:
    """Runs every node in order in this process.

    Args:
        config: what the user decided.
        run_id: a new one if unset.
        on_step: called with each node's id before it runs.

    Returns:
        What `boxwright run --json` prints.

    Raises:
        BoxwrightError: what the first failing step raised.
    """
    from components.pipeline import NODES, SEED_NODES

    run = new_run(run_id)
    outputs: dict[str, dict[str, Any]] = {}
    seconds: dict[str, float] = {}
    for node_id in NODES:
        if node_id in SEED_NODES and node_id != choose_seed(config, run):
            continue
        on_step(node_id)
        started = time.monotonic()
        outputs[node_id] = run_node(config, run, node_id)
        seconds[node_id] = round(time.monotonic() - started, 1)
    return _result(run.run_id, outputs, seconds)


def _result(run_id: str, outputs: dict[str, dict[str, Any]], seconds: dict[str, float]) -> dict[str, Any]:
    facts = json.loads((Path(outputs["package_model"]["uri"]) / RUN_FILE).read_text())
    return {
        "run_id": run_id,
        "status": "registered",
        "model_archive": outputs["package_model"]["archive"],
        "model_name": outputs["register_model"]["model_name"],
        "version": outputs["register_model"]["version"],
        "dataset_fingerprint": facts["dataset_fingerprint"],
        "parent": facts["parent"],
        "split": facts["split"],
        "metrics": facts["metrics"],
        "per_class": facts["per_class"],
        "seconds": seconds,
    }


def _compile(config: RunConfig, run: RunInfo, settings: Settings) -> Any:
    from tfx.dsl.compiler import compiler, constants
    from tfx.orchestration.portable import runtime_parameter_utils

    from components.pipeline import create_pipeline

    compiled = compiler.Compiler().compile(create_pipeline(config, run, settings))
    runtime_parameter_utils.substitute_runtime_parameter(
        compiled, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run.run_id}
    )
    return compiled
