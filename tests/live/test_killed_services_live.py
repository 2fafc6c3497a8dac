"""Services that are killed come back by themselves, and a training under way does not notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.stack import manager
from live.kills import all_ready, kill
from live.live_runs import epochs_done, trigger

if TYPE_CHECKING:
    from live.conftest import LiveStack

KILLED = ("scheduler", "api-server", "mlflow", "supervisor")


def test_services_and_a_supervisor_that_are_killed_come_back(stack: LiveStack) -> None:
    before = kill(stack, KILLED)
    stack.wait_for(lambda: all_ready(stack), f"{KILLED} to come back")
    states = {state.name: state for state in manager.status(stack.settings)}
    assert {name for name, state in states.items() if state.pid != before[name]} == set(KILLED)
    assert {name: states[name].restarts >= 1 for name in KILLED[:3]} == dict.fromkeys(KILLED[:3], True)


@pytest.mark.long
def test_a_training_goes_on_without_its_scheduler_and_api_server(ready: LiveStack) -> None:
    trigger(ready, "survivor", epochs=30, force=True)
    ready.wait_for(lambda: epochs_done(ready, "survivor") > 0, "an epoch")
    kill(ready, KILLED)
    ready.wait_for(lambda: all_ready(ready), f"{KILLED} to come back")
    state, tasks = ready.finish("survivor")
    assert state == "success", tasks
    (training,) = [task for task in ready.airflow.tasks(DAG_ID, "survivor") if task.task_id == "fine_tune"]
    assert training.try_number == 1
