"""Runs the pipeline's nodes through TFX's portable launcher: one at a time for Airflow, or all of them in order.

The run id is the TFX pipeline run id, so processes that know it find each other's artifacts in ML Metadata. TFX
keeps one execution per run and node: a node that was killed is taken up again, one that succeeded is not repeated.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxwright.config import RunConfig, RunInfo, Settings, new_run, resolve_templates
from boxwright.errors import BoxwrightError, DataError, StorageError
from boxwright.evaluation import FormatsSummary
from boxwright.metadata import Lease, held, is_lost, note_worker, require_tables
from boxwright.packaging import RunFacts
from boxwright.pipeline.addresses import local_folder, shared_place
from boxwright.pipeline.faults import explained
from boxwright.pipeline.launching import make_launcher
from boxwright.pipeline.lineage import forget_output, node_outputs, run_outputs
from boxwright.pipeline.machines import check_machines, refuse_several_machines
from boxwright.pipeline.nodes import NODES, Leaves, Node, Phase, find_node, nodes_leaving, nodes_of
from boxwright.pipeline.transport import bring_folder, publish_folder
from boxwright.quiet import quieten
from boxwright.registry import find_finished, find_start
from boxwright.storage import Allowed, connected
from boxwright.version import current_version

log = logging.getLogger("boxwright.release")


# How often a node is launched at most, where the connection to ML Metadata is lost meanwhile.
LAUNCHES = 3


def run_node(config: RunConfig, run: RunInfo, node_id: str) -> dict[str, Any]:
    """Runs one node of the run's pipeline.

    Args:
        config: what the user decided; the same for every node of a run.
        run: the run; nodes find the outputs of earlier ones by its id.
        node_id: the id of one of `boxwright.pipeline.nodes.NODES`.

    Returns:
        The properties of the node's output artifact, and its `uri`: below the shared root, or in this machine's home.

    Raises:
        BoxwrightError: what the step raised.
        StorageError: when the outputs of an earlier node are not there.
    """
    quieten()
    check_machines(config)
    settings = Settings.from_environment()
    with _doing_damaged_steps_again(run, settings), explained(settings, node_id):
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_tables(settings.metadata)
        if settings.metadata.is_shared:
            note_worker(settings.metadata, settings.home, current_version(), settings.shared_root)
        with held(settings.metadata, run.run_id, node_id) as lease, connected(config.storage):
            outputs = _launch(config, run, node_id, settings, lease)
    if outputs is None:
        # TFX skips a node whose inputs are missing without a word.
        raise StorageError(
            f"{node_id} of run {run.run_id} did not run: an earlier step's output is missing; clear that step"
        )
    return outputs


def _launch(config: RunConfig, run: RunInfo, node_id: str, settings: Settings, lease: Lease) -> dict[str, Any] | None:
    """Launches a node whose lease this process holds; returns its outputs, or None."""

    def share(uri: str) -> None:
        lease.require()
        if settings.shared_root:
            publish_folder(local_folder(uri, settings), shared_place(uri, settings), anew=True)

    launcher, node = make_launcher(config, run, node_id, settings, lease, share)
    step = find_node(node_id)
    images = not (step.by_beam and settings.beam_args)
    _bring_inputs(run, node.upstream_nodes, settings, step.shards_ahead, images)
    for number in range(1, LAUNCHES + 1):
        try:
            launcher.launch()
            break
        except Exception as error:
            if number == LAUNCHES or not (settings.metadata.is_shared and is_lost(error)):
                raise
            # Whatever was told to ML Metadata, or was not: a node that has succeeded is not done again.
            log.warning("%s: the connection to ML Metadata was lost; going on with a new one", node_id)
    outputs = node_outputs(run.run_id, node_id, settings)
    if outputs and settings.shared_root and (folder := local_folder(outputs["uri"], settings)).exists():
        # Of a run that was begun before there was a place to share it.
        publish_folder(folder, shared_place(outputs["uri"], settings))
    return outputs


@contextmanager
def _doing_damaged_steps_again(run: RunInfo, settings: Settings) -> Iterator[None]:
    """Marks a finished step as to be done again if the block finds that a file of its output is damaged or gone."""
    try:
        yield
    except BoxwrightError as error:
        if error.file is None or (step := forget_output(run.run_id, error.file, settings)) is None:
            raise
        raise StorageError(
            f"{error}. {step} has to be done again, which `boxwright run --resume {run.run_id}` does; in Airflow, "
            f"clear {step} and what comes after it",
            file=error.file,
        ) from error


def _bring_inputs(
    run: RunInfo, upstream: Iterable[str], settings: Settings, shards_ahead: bool = False, images: bool = True
) -> None:
    """Brings the outputs of earlier nodes, perhaps of other machines, to where ML Metadata says they are."""
    if settings.shared_root is None:
        return
    done = run_outputs(run.run_id, settings)
    for name in upstream:
        if name in done:
            uri = done[name]["uri"]
            bring_folder(shared_place(uri, settings), local_folder(uri, settings), shards_ahead, images)


def output_folder(run: RunInfo, node_id: str, shards_ahead: bool = False) -> Path:
    """The folder that a finished node of the run has filled.

    Args:
        run: the run.
        node_id: the node.
        shards_ahead: leave the shards of training examples to `dataset.examples.shards_of`.

    Raises:
        StorageError: it has not finished.
    """
    settings = Settings.from_environment()
    outputs = node_outputs(run.run_id, node_id, settings)
    if outputs is None:
        raise StorageError(f"{node_id} of run {run.run_id} has not finished; clear that step")
    _bring_inputs(run, [node_id], settings, shards_ahead)
    return local_folder(outputs["uri"], settings)


def choose_seed(config: RunConfig, run: RunInfo) -> str:
    """The id of the node that follows the data: the one that fetches the run's seed, or the first that reuses.

    What a run chose once it keeps: its later steps may have run, and the registry may know more by now.

    Raises:
        UsageError: the seed mode asks for a parent that there is not.
    """
    done = run_outputs(run.run_id, Settings.from_environment())
    if chosen := next((node.id for node in nodes_of(Phase.SEED, Phase.REUSE) if node.id in done), None):
        log.info("the run has already done %s", chosen)
        return chosen
    start = find_start(config, run)
    fingerprint = next((facts["fingerprint"] for facts in reversed(done.values()) if "fingerprint" in facts), None)
    with connected(config.storage):
        version = find_finished(config, run, fingerprint, start.parent) if fingerprint else None
    if version is not None:
        log.info("%s of run %s has the same recipe", version.reference, version.run_id)
        return nodes_of(Phase.REUSE)[0].id
    chosen = next(node.id for node in nodes_of(Phase.SEED) if node.seed == start.kind)
    log.info("%s: %s (%s)", chosen, start.parent or "pretrained weights", start.reason)
    return chosen


def run_pipeline(
    config: RunConfig, run: RunInfo | None = None, on_step: Callable[[str], None] = lambda node_id: None
) -> dict[str, Any]:
    """Runs every node in order in this process; what the run has done already is not done again.

    Args:
        config: what the user decided.
        run: a new one if unset.
        on_step: called with each node's id before it runs.

    Returns:
        What `boxwright run --json` prints.

    Raises:
        BoxwrightError: what the first failing step raised.
    """
    refuse_several_machines(config)
    run = run or new_run()
    config = resolve_templates(config, run)
    Allowed.from_environment().check(config)
    return summarise(config, run, run_nodes(config, run, _walk(config, run), on_step))


@dataclass(frozen=True)
class Ran:
    """A node that ran: the properties of its output, with its `uri`, and how long it took."""

    output: dict[str, Any]
    seconds: float


def run_nodes(
    config: RunConfig, run: RunInfo, nodes: Iterable[Node], on_step: Callable[[str], None] = lambda node_id: None
) -> dict[str, Ran]:
    """Runs nodes in order in this process; what the run has done already is not done again.

    Args:
        config: what the user decided, with the dates in its URIs filled in.
        run: the run.
        nodes: to run.
        on_step: called with each node's id before it runs.

    Raises:
        BoxwrightError: what the first failing step raised.
    """
    ran = {}
    for node in nodes:
        on_step(node.id)
        started = time.monotonic()
        output = run_node(config, run, node.id)
        ran[node.id] = Ran(output, round(time.monotonic() - started, 1))
    return ran


def summarise(config: RunConfig, run: RunInfo, ran: Mapping[str, Ran]) -> dict[str, Any]:
    """The object that `boxwright run --json` prints about a finished run."""
    outputs = {name: one.output for name, one in ran.items()}
    with connected(config.storage):
        return _result(run.run_id, outputs, {name: one.seconds for name, one in ran.items()})


def train_along(config: RunConfig, run: RunInfo, on_step: Callable[[str], None] = lambda node_id: None) -> None:
    """Runs the steps up to the training, on a machine that trains along with another one, which hands on the model.

    Args:
        config: what the user decided; the same as the other machine's.
        run: of this machine.
        on_step: called with each node's id before it runs.

    Raises:
        BoxwrightError: what the first failing step raised.
    """
    config = resolve_templates(config, run)
    Allowed.from_environment().check(config)
    last = nodes_leaving(Leaves.TRAINING_CURVES)[-1]
    for node in _walk(config, run):
        if node.phase is Phase.REUSE:
            return  # nothing is trained; the other machine ends the run
        on_step(node.id)
        run_node(config, run, node.id)
        if node is last:
            return


def _walk(config: RunConfig, run: RunInfo) -> Iterator[Node]:
    """The nodes of a run in order; what follows the data is chosen when the data is there."""
    yield from nodes_of(Phase.DATA)
    chosen = find_node(choose_seed(config, run))
    if chosen.phase is Phase.REUSE:
        yield from nodes_of(Phase.REUSE)
    else:
        yield from (chosen, *nodes_of(Phase.MODEL, Phase.RELEASE))


def _result(run_id: str, outputs: dict[str, dict[str, Any]], seconds: dict[str, float]) -> dict[str, Any]:
    last = next(node for node in NODES if node.ends_as and node.id in outputs)
    version = outputs[last.id]
    folder = version["archive"].rpartition("/")[0]
    facts = RunFacts.read(folder)
    return {
        "run_id": run_id,
        "status": last.ends_as,
        "model_archive": version["archive"],
        "model_name": version["model_name"],
        "version": version["version"],
        "formats": _formats(folder),
        **facts.model_dump(include={"dataset_fingerprint", "parent", "split", "metrics", "per_class"}),
        "seconds": seconds,
    }


def _formats(folder: str) -> list[str]:
    """The formats that lie beside an archive; none beside those of earlier versions."""
    try:
        return [one.name for one in FormatsSummary.read(folder).kept]
    except DataError:
        return []
