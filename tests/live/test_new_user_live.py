"""A new user's way on from a first model: a backfill beside a training, which is stopped, goes on, and is approved."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from boxwright.airflow_api.trigger import DAG_ID
from live.live_runs import DATASET, PATIENCE, QUICK, epochs_done, trigger
from live.pages import Visit, keep
from live.weekly_runs import backfill

if TYPE_CHECKING:
    from live.conftest import LiveStack

NAME = "new-user"
RUN = f"/dags/{DAG_ID}/runs/{NAME}"
# More than a machine trains before somebody has pressed a button.
EPOCHS = 200
WEEKS = (6, 7)


@pytest.mark.long
def test_a_backfill_beside_a_training_that_is_stopped_goes_on_and_is_approved(
    visit: Visit, ready: LiveStack, pictures: Path
) -> None:
    trigger(ready, NAME, epochs=EPOCHS, seed_mode="pretrained", model_name=NAME, approve=True, force=True)
    ready.wait_for(lambda: epochs_done(ready, NAME) > 0, "an epoch")
    page = visit.open_in_airflow(f"{RUN}/plugin/boxwright-run")
    _stop(visit, page, pictures)
    stopped_after = epochs_done(ready, NAME)
    assert 0 < stopped_after < EPOCHS
    page.locator("#go-on").click()
    page.locator("#state[data-ended=no]").wait_for()
    conf = QUICK | {"training": f"{DATASET}/training", "output": "s3://boxwright/runs", "model_name": "beside"}
    done = backfill(ready, *WEEKS, dag_run_conf=conf | {"epochs": 1}, max_active_runs=2)
    assert done == dict.fromkeys(WEEKS, "success")
    assert len(ready.registry.versions("beside")) == len(WEEKS)
    _approve(visit, ready, pictures)
    state, tasks = ready.finish(NAME)
    assert (state, tasks["register_model"]) == ("success", "success"), tasks
    logs = ready.stack.airflow_home / "logs"
    said = "".join(path.read_text() for path in logs.rglob("*.log") if NAME in str(path))
    assert f"resuming after epoch {stopped_after} of {EPOCHS}" in said
    assert visit.problems == []


def _stop(visit: Visit, page: Any, pictures: Path) -> None:
    """Stops the training from the run's page, which then says so and how to go on."""
    page.locator("#to-stop").click()
    page.get_by_role("button", name="Stop after this epoch").click()
    page.locator("#stopping, #go-on").first.wait_for()
    page.locator("#go-on").wait_for(timeout=PATIENCE)
    assert "stopped as asked after epoch" in page.get_by_role("alert").inner_text()
    keep(visit, pictures, "airflow-run-stopped", whole=False)


def _approve(visit: Visit, stack: LiveStack, pictures: Path) -> None:
    """Answers on Airflow's own page of the task that asks."""
    stack.wait_for(
        lambda: {task.task_id: task.state for task in stack.airflow.tasks(DAG_ID, NAME)}["approve"] == "awaiting_input",
        "the question",
        PATIENCE / 1000,
    )
    visit.page.goto(f"{visit.origin}/required_actions")
    visit.page.get_by_role("link", name=f"Register the {NAME} of {NAME}?").click()
    visit.page.get_by_text("measured on the test images").wait_for()
    keep(visit, pictures, "airflow-approve", whole=False)
    with visit.page.expect_response(re.compile("/approve/.*hitlDetails")) as answered:
        visit.page.get_by_role("button", name="Approve", exact=True).click()
    assert answered.value.ok
