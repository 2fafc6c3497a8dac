"""The tasks of the training DAG: one for each node of the pipeline, and two that only Airflow has.

The nodes stand in the table `boxwright.pipeline.NODES`, and where Airflow's own tasks lie among them stands here: the
DAG, its documentation and the run's page take both from this module.
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

__all__ = ["APPROVE", "CHOOSE_SEED", "PIPELINE", "AirflowTask", "Phase", "described", "in_order", "tasks_of"]


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
# Each comes after the nodes of a phase.
_AFTER = {Phase.DATA: CHOOSE_SEED, Phase.MODEL: APPROVE}


def in_order() -> list[Node | AirflowTask]:
    """The nodes and tasks of the DAG, in the order in which they run."""
    found: list[Node | AirflowTask] = []
    for phase in Phase:
        found += nodes_of(phase)
        found += [_AFTER[phase]] if phase in _AFTER else []
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
