"""A node of the pipeline through TFX's portable launcher: compiled, registered, and launched under its lease."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from boxwright.config import MetadataAddress, RunConfig, RunInfo, Settings, new_run, parse_config
from boxwright.metadata import Lease, Types, make_tables, open_store, register_types
from boxwright.pipeline.addresses import register_filesystem
from boxwright.pipeline.trial_lineage import trial_types

# TFX imports them where it can, which takes longer than most steps do, and does without them as well.
_SPARED = ("tensorflow", "apache_beam")
# That of the context which TFX makes beside those that the pipeline names.
_CACHE_TYPE = "execution_cache"


@contextmanager
def light_imports() -> Iterator[None]:
    """Blocks the import of libraries that TFX can do without, unless they are loaded already."""
    spared = [name for name in _SPARED if name not in sys.modules]
    for name in spared:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in spared:
            del sys.modules[name]


def make_launcher(
    config: RunConfig, run: RunInfo, node_id: str, settings: Settings, lease: Lease, share: Callable[[str], None]
) -> tuple[Any, Any]:
    """TFX's launcher of one node, and the node, for a store that has all types of the pipeline.

    Args:
        config: what the user decided.
        run: the run.
        node_id: the node.
        settings: where ML Metadata is.
        lease: that of the step.
        share: called with the URI of each output when it is whole, before ML Metadata is told so.

    Raises:
        UsageError, StorageError: the store cannot be used.
    """
    with light_imports():
        from tfx.orchestration.local import runner_utils
        from tfx.orchestration.portable import launcher

        register_filesystem()

        class SharingLauncher(launcher.Launcher):
            def _publish_successful_execution(
                self, execution_id: int, contexts: Any, output_dict: Any, executor_output: Any
            ) -> None:
                for artifacts in output_dict.values():
                    for artifact in artifacts:
                        share(artifact.uri)
                super()._publish_successful_execution(execution_id, contexts, output_dict, executor_output)

        compiled = compile_pipeline(config, run, settings)
        deployment = runner_utils.extract_local_deployment_config(compiled)
        register_types(settings.metadata, types_of(compiled))
        node = next(item.pipeline_node for item in compiled.nodes if item.pipeline_node.node_info.id == node_id)
        made = SharingLauncher(
            pipeline_node=node,
            mlmd_connection=_connection(settings.metadata, lease),
            pipeline_info=compiled.pipeline_info,
            pipeline_runtime_spec=compiled.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(deployment, node_id),
        )
    return made, node


def compile_pipeline(config: RunConfig, run: RunInfo, settings: Settings) -> Any:
    """The pipeline of a run as TFX's intermediate representation; it does not say where ML Metadata is."""
    from tfx.dsl.compiler import compiler, constants
    from tfx.orchestration.portable import runtime_parameter_utils

    from boxwright.pipeline.graph import create_pipeline

    compiled = compiler.Compiler().compile(create_pipeline(config, run, settings))
    runtime_parameter_utils.substitute_runtime_parameter(
        compiled, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run.run_id}
    )
    return compiled


def prepare_metadata(settings: Settings) -> None:
    """Makes ML Metadata's database and tables, and registers all types of the pipeline.

    What is there already stays; any number of processes may call it at once.

    Raises:
        UsageError, StorageError: the store cannot be used.
    """
    make_tables(settings.metadata)
    nowhere = parse_config({"training": "/nowhere", "output": "/nowhere"})
    with light_imports():
        compiled = compile_pipeline(nowhere, new_run(), settings)
    for types in (types_of(compiled), trial_types()):
        register_types(settings.metadata, types)


def types_of(compiled: Any) -> Types:
    """All types of ML Metadata that runs of a compiled pipeline use."""
    from ml_metadata.proto import metadata_store_pb2

    artifacts: dict[str, Any] = {}
    executions: dict[str, Any] = {}
    contexts: dict[str, Any] = {}
    for item in compiled.nodes:
        node = item.pipeline_node
        executions[node.node_info.type.name] = node.node_info.type
        contexts |= {context.type.name: context.type for context in node.contexts.contexts}
        for output in node.outputs.outputs.values():
            artifacts[output.artifact_spec.type.name] = output.artifact_spec.type
    contexts[_CACHE_TYPE] = metadata_store_pb2.ContextType(name=_CACHE_TYPE)
    return Types(list(artifacts.values()), list(executions.values()), list(contexts.values()))


def _connection(address: MetadataAddress, lease: Lease) -> Any:
    """TFX's connection to ML Metadata: made anew for each use, waiting for a server that is away.

    Each is made first and then asked for by the lease: a process that takes the step over closes those that were made
    before, and those that are made afterwards find that it has.
    """
    from tfx.orchestration import metadata

    class LeasedMetadata(metadata.Metadata):
        def __enter__(self) -> Any:
            if self._users == 0:
                self._store = open_store(address)
                lease.require()
            self._users += 1
            return self

    return LeasedMetadata(None)
