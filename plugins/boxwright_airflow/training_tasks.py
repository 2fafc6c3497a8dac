"""The tasks of the DAGs that train and tune: one for each node of the pipeline, and those that only Airflow has.

The nodes stand in the table `boxwright.pipeline.NODES`, and where Airflow's own tasks lie among them stands here: the
DAGs, their documentation and the run's page take both from this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow.sdk import TriggerRule

from boxwright.config import PIPELINE
from boxwright.pipeline import GPU_POOL, Node, Phase, nodes_of
from boxwright_airflow.operators import BoxwrightStepOperator
from boxwright_airflow.queues import queues
from boxwright_airflow.schedule import MODEL

__all__ = [
    "APPROVE", "CHOOSE_SEED", "OPEN_STUDY", "PIPELINE", "TRIAL", "TUNING", "AirflowTask", "Phase", "described",
    "in_order", "tasks_of",
]  # fmt: skip
# The DAG that tunes.
TUNING = "object_detection_tuning"


@dataclass(frozen=True)
class AirflowTask:
    """A task that is not a node of the pipeline; its fields are those of `boxwright.pipeline.Node`."""

    id: str
    title: str
    does: str


CHOOSE_SEED = AirflowTask(
    "choose_seed",
    "Choose seed",
    "waits until the runs over earlier intervals have ended, then takes one of the ways that follow: a seed to train "
    "from, or a version to reuse",
)
APPROVE = AirflowTask(
    "approve",
    "Approve",
    "asks a person, where the parameter of that name says so; a rejected model is registered as rejected",
)
OPEN_STUDY = AirflowTask("open_study", "Open study", "opens the study, or one that is there")
TRIAL = AirflowTask("trial", "Trials", "each asks for settings when it begins, and trains with them")
# They come after the nodes of a phase.
_AFTER = {Phase.DATA: (CHOOSE_SEED,), Phase.MODEL: (APPROVE,)}
_AFTER_IN_TUNING = _AFTER | {Phase.SEED: (OPEN_STUDY, TRIAL)}


def in_order(dag_id: str = PIPELINE) -> list[Node | AirflowTask]:
    """The nodes and tasks of the DAG that trains, or tunes, in the order in which they run."""
    left_out, after = (Phase.REUSE, _AFTER_IN_TUNING) if dag_id == TUNING else (Phase.STUDY, _AFTER)
    found: list[Node | AirflowTask] = []
    for phase in Phase:
        if phase is not left_out:
            found += [*nodes_of(phase), *after.get(phase, ())]
    return found


def described() -> str:
    """A numbered list in Markdown of what each task does."""
    return "\n".join(f"{number}. `{task.id}` {task.does}." for number, task in enumerate(in_order(), 1))


def tasks_of(
    phase: Phase, operator: type[BoxwrightStepOperator] = BoxwrightStepOperator
) -> list[BoxwrightStepOperator]:
    """Adds the tasks of a phase's nodes to the DAG around, in their order.

    Args:
        phase: of the nodes.
        operator: what runs them.
    """
    chosen = queues()
    return [_task(node, chosen.get(node.id), operator) for node in nodes_of(phase)]


def _task(node: Node, queue: str | None, operator: type[BoxwrightStepOperator]) -> BoxwrightStepOperator:
    options: dict[str, Any] = {}
    if node.needs_gpu:
        options["pool"] = GPU_POOL
    if queue:
        options["queue"] = queue
    if node.registers:
        options["outlets"] = [MODEL]
    if node == nodes_of(Phase.MODEL)[0]:
        # Of the seeds before it, all but one were skipped.
        options["trigger_rule"] = TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS
    return operator(task_id=node.id, node=node.id, **options)
