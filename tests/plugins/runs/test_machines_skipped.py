"""A run on one machine ends without a worker for the others; Airflow's own scheduling decides, on its own tables."""

from __future__ import annotations

from typing import Any

import pytest


def decided(run: Any) -> dict[str, str | None]:
    """The states after the scheduler has looked as often as there is something to decide."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    for _ in range(4):
        run.row.update_state(session=run.session, execute_callbacks=False)
        run.session.commit()
    tis = run.session.scalars(select(TaskInstance).where(TaskInstance.run_id == run.run_id))
    return {ti.task_id: ti.state for ti in tis}


@pytest.mark.parametrize("states", [{"choose_seed": "skipped"}, {"choose_seed": "success", "call_machines": "skipped"}])
def test_machines_that_nobody_calls_are_skipped(make_run: Any, states: dict[str, str]) -> None:
    run = make_run(f"alone-{len(states)}")
    for task in ("validate_annotations", "download_dataset", "build_examples"):
        run.task(task, states["choose_seed"])
    for task, state in states.items():
        run.task(task, state)
    found = decided(run)
    assert (found["call_machines"], found["train_along"]) == ("skipped", "skipped")
