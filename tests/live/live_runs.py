"""Runs of the training DAG in a stack: with which settings, as whom, and with a training that is killed."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.stack import manager
from boxwright.stack.environment import ADMIN, Stack

if TYPE_CHECKING:
    from live.conftest import LiveStack

# Seconds until what is awaited is late, on a machine that does much else: a step of a run, and a whole run.
STEP_SECONDS = 600
RUN_SECONDS = 1500
# Milliseconds in which a page shows what a run does.
PATIENCE = 1000 * RUN_SECONDS
# Seconds for a test with the runs that it is the first to need.
TEST_SECONDS = 2 * RUN_SECONDS
DATASET = "s3://boxwright/datasets/live"
MODEL = "live-detector"
FIRST = "live-first"
# So many that a kill finds the training at work.
EPOCHS = 12
ENDED_BY_KILL = ("failed", "up_for_retry", "queued")
QUICK = {
    "model_id": "tiny",
    "epochs": EPOCHS,
    "image_size": 64,
    "gate_min_ap50": 0,
    "gate_classes_told_apart": False,
    "export_formats": ["saved_model"],
    "augmentation": "flip",
}
SETTINGS = {
    "training": f"{DATASET}/training",
    "test": f"{DATASET}/test",
    "output": "s3://boxwright/runs",
    "model_name": MODEL,
    **QUICK,
}


def trigger(stack: LiveStack, run_id: str, **conf: Any) -> None:
    stack.airflow.trigger(DAG_ID, run_id, SETTINGS | conf)


def log_in(stack: Stack) -> dict[str, str]:
    """The cookie that Airflow's UI has after the log-in."""
    user = {"username": ADMIN, "password": stack.password}
    answer = httpx.post(f"{stack.airflow_url}/auth/token", json=user, trust_env=False)
    return {"_token": answer.json()["access_token"]}


class FirstRun:
    """The run `live-first`, from pretrained weights, whose training is killed once and cleared.

    Whoever needs it first starts it: the test of the form through the form, any other through the API.
    """

    def __init__(self, stack: LiveStack) -> None:
        self._stack = stack
        self._killed: Future[None] | None = None

    def start(self, create: Callable[[], None] | None = None) -> None:
        """Starts the run by `create`, or through the API, unless it was started; its training is killed meanwhile."""
        if self._killed is None:
            (create or (lambda: trigger(self._stack, FIRST)))()
            pool = ThreadPoolExecutor(max_workers=1)
            self._killed = pool.submit(kill_training, self._stack, FIRST, kills=1)
            pool.shutdown(wait=False)

    def finish(self) -> dict[str, str]:
        """Waits for its end; the state of each task."""
        self.start()
        assert self._killed
        self._killed.result()
        state, tasks = self._stack.finish(FIRST)
        assert state == "success", tasks
        return tasks


def kill_training(stack: LiveStack, run_id: str, kills: int) -> None:
    """Ends a run's training by SIGKILL at random moments, each after at least one further epoch, and clears it."""
    chance = random.Random(run_id)
    known = 0
    for number in range(1, kills + 1):
        more = f"an epoch after the {known} trained by {run_id}"
        stack.wait_for(lambda before=known: epochs_done(stack, run_id) > before, more)
        time.sleep(chance.uniform(0, 1))
        _kill_fine_tune(stack)
        known = epochs_done(stack, run_id)
        stack.wait_for(
            lambda: _state_of(stack, run_id, "fine_tune") in ENDED_BY_KILL, f"the end of killed training {number}"
        )
        body = {"dag_run_id": run_id, "task_ids": ["fine_tune"], "dry_run": False, "include_downstream": True}
        stack.airflow.request("POST", f"/dags/{DAG_ID}/clearTaskInstances", json=body | {"only_failed": False})


def epochs_done(stack: LiveStack, run_id: str) -> int:
    state = stack.home / "pipeline" / "checkpoints" / run_id / "state.json"
    return json.loads(state.read_text())["epochs"] if state.exists() else 0


def _state_of(stack: LiveStack, run_id: str, task_id: str) -> str:
    return {task.task_id: task.state for task in stack.airflow.tasks(DAG_ID, run_id)}[task_id]


def _kill_fine_tune(stack: LiveStack) -> None:
    """Kills the process that holds TensorFlow, of those that the scheduler started: the task's own."""
    (scheduler,) = [state.pid for state in manager.status(stack.settings) if state.name == "scheduler"]
    for process in psutil.Process(scheduler).children(recursive=True):
        with suppress(FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
            if "libtensorflow" in Path(f"/proc/{process.pid}/maps").read_text():
                process.kill()
                return
    raise AssertionError("no task process with TensorFlow found")
