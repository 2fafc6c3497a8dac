"""Questions to ML Metadata: what a step of a run produced, and where a model came from."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxwright.config import Settings, is_registered
from boxwright.metadata import ask, require_tables
from boxwright.pipeline.addresses import local_folder, place_of
from boxwright.pipeline.faults import explained
from boxwright.pipeline.nodes import NODES, Phase

RUN_CONTEXT = "pipeline_run"
_LIVE_EXECUTIONS = ("COMPLETE", "CACHED")


def node_outputs(run_id: str, node_id: str, settings: Settings | None = None) -> dict[str, Any] | None:
    """Properties and `uri` of what a node of a run put out; None when it has not finished."""
    return run_outputs(run_id, settings or Settings.from_environment()).get(node_id)


def run_outputs(run_id: str, settings: Settings) -> dict[str, dict[str, Any]]:
    """Properties and `uri` of every finished node's output, by node id, in the order they were made.

    Raises:
        StorageError: ML Metadata's file is damaged or locked, or its server away.
    """
    with explained(settings, f"reading what run {run_id} has done"):
        require_tables(settings.metadata)
        outputs = ask(settings.metadata, lambda store: _run_outputs(run_id, store))
    return {node: facts | {"uri": place_of(facts["uri"], settings)} for node, facts in outputs.items()}


def forget_output(run_id: str, file: str, settings: Settings) -> str | None:
    """Makes the finished step of a run that put out `file` one that has to be done again.

    ML Metadata remembers that a step succeeded, not whether the disk has kept what it wrote. Where workers share what
    steps put out, only this machine's copy goes, and is brought again. The folder is kept, as `<name>.damaged`.

    Returns:
        The step; None where no step of the run put it out.
    """
    outputs = run_outputs(run_id, settings)
    folders = {name: local_folder(output["uri"], settings) for name, output in outputs.items()}
    found = next((name for name, folder in folders.items() if Path(file).is_relative_to(folder)), None)
    if found is None:
        return None
    folder = folders[found]
    if settings.shared_root is None:
        ask(settings.metadata, lambda store: _mark_as_failed(run_id, folder, store, settings))
    if folder.exists():
        aside = folder.with_name(f"{folder.name}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    return found


def _mark_as_failed(run_id: str, folder: Path, store: Any, settings: Settings) -> None:
    from ml_metadata.proto import metadata_store_pb2

    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    artifacts = [one for one in store.get_artifacts_by_context(context.id) if local_folder(one.uri, settings) == folder]
    for artifact in artifacts:
        artifact.state = metadata_store_pb2.Artifact.State.DELETED
    events = store.get_events_by_artifact_ids([one.id for one in artifacts])
    made = {event.execution_id for event in events if event.type == metadata_store_pb2.Event.OUTPUT}
    executions = store.get_executions_by_id(list(made))
    for execution in executions:
        execution.last_known_state = metadata_store_pb2.Execution.State.FAILED
    store.put_artifacts(artifacts)
    store.put_executions(executions)


def _run_outputs(run_id: str, store: Any) -> dict[str, dict[str, Any]]:
    return {
        node_id: {"uri": artifact.uri, "type": artifact.type}
        | {name: _value(value) for name, value in artifact.properties.items()}
        for node_id, (_, artifact) in finished_nodes(run_id, store).items()
    }


def finished_nodes(run_id: str, store: Any) -> dict[str, tuple[Any, Any]]:
    """The execution and the output artifact of every finished node of a run, by node id, in the order of outputs."""
    from ml_metadata.proto import metadata_store_pb2

    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    if context is None:
        return {}
    finished = {
        execution.id: execution
        for execution in store.get_executions_by_context(context.id)
        if metadata_store_pb2.Execution.State.Name(execution.last_known_state) in _LIVE_EXECUTIONS
    }
    events = store.get_events_by_execution_ids(list(finished)) if finished else []
    produced = {
        event.artifact_id: finished[event.execution_id]
        for event in events
        if event.type == metadata_store_pb2.Event.OUTPUT
    }
    return {
        _node_of(store, produced[artifact.id].id): (produced[artifact.id], artifact)
        for artifact in sorted(store.get_artifacts_by_id(list(produced)), key=lambda found: found.id)
    }


def _node_of(store: Any, execution_id: int) -> str:
    """TFX names a node's context `<pipeline>.<node>`."""
    contexts = store.get_contexts_by_execution(execution_id)
    return str(next(context.name for context in contexts if context.type == "node")).rpartition(".")[2]


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


@dataclass(frozen=True)
class TracedVersion:
    """One model of a chain.

    Attributes:
        reference: `models:/name/version`.
        run_id: the run that made it.
        facts: what lineage shows of each step's output, by what it is.
    """

    reference: str
    run_id: str
    facts: dict[str, dict[str, Any]]


def trace(model: str, settings: Settings) -> list[TracedVersion]:
    """The model's lineage, then its parent's, and so on to the one that began from pretrained weights.

    Args:
        model: `models:/name/3`, `models:/name@alias`, or a name for its newest version.
        settings: where registry and metadata are.

    Raises:
        UsageError: when there is no such version.
    """
    from boxwright.registry import open_registry

    registry = open_registry(settings.tracking_uri)
    version = registry.resolve(model)
    chain: list[TracedVersion] = []
    while True:
        facts, origin = _facts(run_outputs(version.run_id, settings))
        chain.append(TracedVersion(version.reference, version.run_id, facts))
        if not is_registered(origin) or origin in [link.reference for link in chain]:
            return chain
        version = registry.resolve(origin)


def main() -> None:
    """Prints a run's outputs as JSON: `python -m boxwright.pipeline.lineage RUN_ID`.

    For processes that may not wait: ML Metadata holds Python's lock as long as it waits for its file or server.
    """
    print(json.dumps(run_outputs(sys.argv[1], Settings.from_environment())))


def _facts(outputs: dict[str, dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], str]:
    """The facts of a run's outputs that lineage shows, and the origin of its seed."""
    facts: dict[str, dict[str, Any]] = {}
    origin = ""
    for node in NODES:
        if node.traced is not None:
            found = outputs.get(node.id, {})
            if node.phase is Phase.STUDY and not found:
                continue  # most models come from none
            shown = facts.setdefault(node.traced.name, {})
            shown |= {name: found[name] for name in node.traced.properties if name in found}
            origin = str(found.get("origin", origin)) if node.seed else origin
    return facts, origin


if __name__ == "__main__":
    main()
