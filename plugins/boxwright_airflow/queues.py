"""The queues that tasks wait in for a worker, and the Variable by which an administrator moves a step to another.

Only executors with workers of their own, as Celery's, have queues: LocalExecutor does without.
"""

from __future__ import annotations

import re

from airflow.sdk import Variable

from boxwright.errors import did_you_mean
from boxwright.pipeline import NODES

QUEUES_VARIABLE = "boxwright_queues"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def queues() -> dict[str, str]:
    """The queue of each step that has one of its own, by the step's id; Airflow's default queue has all others.

    The Airflow Variable `boxwright_queues` moves steps: `fine_tune=gpu-large, evaluate=default`.

    Raises:
        ValueError: it is of another form, or names no step; Airflow shows it as the DAG's import error.
    """
    steps = [node.id for node in NODES]
    found = {node.id: node.queue for node in NODES if node.queue}
    text = str(Variable.get(QUEUES_VARIABLE, default=None) or "")
    for part in filter(None, map(str.strip, text.split(","))):
        step, _, queue = map(str.strip, part.partition("="))
        if not _NAME.fullmatch(queue):
            raise ValueError(
                f"the Airflow Variable {QUEUES_VARIABLE} has {part!r}; expected STEP=QUEUE, as in "
                "'fine_tune=gpu-large, evaluate=default'"
            )
        if step not in steps:
            raise ValueError(
                f"the Airflow Variable {QUEUES_VARIABLE} names the step {step!r}{did_you_mean(step, steps)}; steps are "
                f"{', '.join(steps)}"
            )
        found[step] = queue
    return found
