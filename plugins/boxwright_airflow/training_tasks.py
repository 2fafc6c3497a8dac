"""The tasks of the DAGs that train and tune: one for each node of the pipeline, and those that only Airflow has.

The nodes stand in the table `boxwright.pipeline.NODES`, and where Airflow's own tasks lie among them stands here: the
DAGs, their documentation and the run's page take both from this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow.sdk import TriggerRule, WeightRule

from boxwright.config import PIPELINE
from boxwright.pipeline import GPU_POOL, Leaves, Node, Phase, nodes_leaving, nodes_of
from boxwright_airflow.machines import TRAINING, CallMachinesOperator, TrainAlongOperator
from boxwright_airflow.operators import BoxwrightStepOperator
from boxwright_airflow.parts import PARTS_VARIABLE, CheckImagesOperator, download_parts
from boxwright_airflow.queues import queues
from boxwright_airflow.schedule import MODEL

__all__ = [
    "APPROVE", "CALL_MACHINES", "CHECK_IMAGES", "CHOOSE_SEED", "OF_SEVERAL_MACHINES", "OPEN_STUDY", "PIPELINE",
    "TRAIN_ALONG", "TRIAL", "TUNING", "AirflowTask", "Phase", "described", "in_order", "other_machines", "tasks_of",
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
CALL_MACHINES = AirflowTask(
    "call_machines",
    "Call machines",
    f"lists the other machines, when `{TRAINING}` has its slot, where `training_machines` says that there are several",
)
TRAIN_ALONG = AirflowTask(
    "train_along",
    "Train along",
    f"trains with `{TRAINING}` on each of the other machines; each needs a slot of the pool `{GPU_POOL}`",
)
# Of runs on several machines alone.
OF_SEVERAL_MACHINES = (CALL_MACHINES, TRAIN_ALONG)
# Where the Airflow Variable divides the download.
CHECK_IMAGES = AirflowTask(
    "check_images",
    "Check images",
    f"fetches and checks a part of the images each, where the Airflow Variable `{PARTS_VARIABLE}` divides them",
)
# The step that puts the dataset together, of images that are checked before it.
_DOWNLOAD = nodes_leaving(Leaves.VALIDATION_REPORT)[-1].id
OPEN_STUDY = AirflowTask("open_study", "Open study", "opens the study, or one that is there")
TRIAL = AirflowTask("trial", "Trials", "each asks for settings when it begins, and trains with them")
# They come after the nodes of a phase.
_AFTER = {Phase.DATA: (CHOOSE_SEED,), Phase.MODEL: (APPROVE,)}
_AFTER_IN_TUNING = _AFTER | {Phase.SEED: (OPEN_STUDY, TRIAL)}
# A machine that a training waits for comes before the first machine of another one.
_FIRST_OF_ALL = 100


def in_order(dag_id: str = PIPELINE) -> list[Node | AirflowTask]:
    """The nodes and tasks of the DAG that trains, or tunes, in the order in which they run."""
    left_out, after = (Phase.REUSE, _AFTER_IN_TUNING) if dag_id == TUNING else (Phase.STUDY, _AFTER)
    found: list[Node | AirflowTask] = []
    for phase in Phase:
        if phase is not left_out:
            for node in nodes_of(phase):
                before = (CHECK_IMAGES,) if node.id == _DOWNLOAD else ()
                beside = OF_SEVERAL_MACHINES if node.id == TRAINING and dag_id == PIPELINE else ()
                found += [*before, node, *beside]
            found += after.get(phase, ())
    return found


def described() -> str:
    """A numbered list in Markdown of what each task does."""
    return "\n".join(f"{number}. `{task.id}` {task.does}." for number, task in enumerate(in_order(), 1))


def tasks_of(phase: Phase, operator: type[BoxwrightStepOperator] = BoxwrightStepOperator) -> list[Any]:
    """Adds the tasks of a phase's nodes to the DAG around, in their order, and those that check images before them.

    Args:
        phase: of the nodes.
        operator: what runs them.
    """
    chosen, parts = queues(), download_parts()
    found: list[Any] = []
    for node in nodes_of(phase):
        if node.id == _DOWNLOAD and parts > 1:
            found.append(_image_checks(parts, chosen.get(node.id)))
        found.append(_task(node, chosen.get(node.id), operator))
    return found


def _image_checks(parts: int, queue: str | None) -> Any:
    options = {"queue": queue} if queue else {}
    checks = CheckImagesOperator.partial(task_id=CHECK_IMAGES.id, parts=parts, **options)
    return checks.expand(part=list(range(parts)))


def other_machines() -> CallMachinesOperator:
    """Adds the tasks of a training's other machines to the DAG around; returns the first of them."""
    queue = queues().get(TRAINING)
    call = CallMachinesOperator(task_id=CALL_MACHINES.id)
    TrainAlongOperator.partial(
        task_id=TRAIN_ALONG.id,
        pool=GPU_POOL,
        priority_weight=_FIRST_OF_ALL,
        weight_rule=WeightRule.ABSOLUTE,
        **({"queue": queue} if queue else {}),
    ).expand(rank=call.output)
    return call


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
