"""The room that the pool of trainings has for a run: what would wait for ever is said at once."""

from __future__ import annotations

from boxwright.errors import UsageError
from boxwright.pipeline import GPU_POOL
from boxwright_airflow.runs.tasks import Run
from boxwright_airflow.training_tasks import TUNING


def missing_room(run: Run) -> str:
    """Why the training of a run can never begin, and what to do; empty where it can, or is over."""
    from boxwright.pipeline import check_slots

    if run.has_ended or not run.tasks:
        return ""
    try:
        check_slots(run.config().training_machines, pool_slots())
    except UsageError as error:
        return str(error)
    return ""


def narrow_room(run: Run) -> str:
    """How a study goes on whose trials have one slot; empty of any other run."""
    if run.has_ended or run.dag_id != TUNING or pool_slots() != 1:
        return ""
    return f"The pool {GPU_POOL} has 1 slot, so that trials run one after the other. Admin, Pools gives it more."


def pool_slots() -> int | None:
    """The slots of the pool of trainings, -1 where it has no limit; None where there is no pool."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session

    with create_session() as session:
        found = Pool.get_pool(GPU_POOL, session=session)
        return None if found is None else int(found.slots)
