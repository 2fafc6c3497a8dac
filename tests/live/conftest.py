"""The whole local stack as a fixture, real servers on free ports in a folder of their own, and the runs in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from live_runs import DATASET, trigger

from boxwright.airflow_api.client import AirflowClient
from boxwright.airflow_api.trigger import DAG_ID
from boxwright.config.settings import Settings
from boxwright.dataset.sample.generate import generate_sample
from boxwright.registry.mlflow_registry import Registry
from boxwright.stack import manager
from boxwright.stack.demo import upload_folder
from boxwright.stack.environment import Stack, added_environment

# Seconds until what is awaited is late, on a machine that does much else.
DEADLINE = 1800


@dataclass(frozen=True)
class LiveStack:
    """A stack that runs.

    Attributes:
        home: its `BOXWRIGHT_HOME`.
        env: the variables that lead a process to it.
        stack: addresses, ports and secrets.
        airflow: a client that is logged in as the administrator.
    """

    home: Path
    env: dict[str, str] = field(repr=False)
    stack: Stack
    airflow: AirflowClient

    @property
    def s3(self) -> Any:
        """A client of the stack's S3 server."""
        return boto3.client(
            "s3",
            endpoint_url=self.stack.s3_url,
            region_name=self.env["AWS_REGION"],
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
        )

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    @property
    def registry(self) -> Registry:
        return Registry(self.env["MLFLOW_TRACKING_URI"])

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        """Calls `condition` until it returns something, and returns that."""
        deadline = time.monotonic() + DEADLINE
        while not (found := condition()):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        return found

    def finish(self, run_id: str, dag_id: str = DAG_ID) -> tuple[str, dict[str, str]]:
        """Waits for the end of a run; its state, and those of its tasks."""
        deadline = time.monotonic() + DEADLINE
        for state, tasks in self.airflow.follow(dag_id, run_id):
            assert time.monotonic() < deadline, f"run {run_id} is still {state}: {tasks}"
        return state, {task.task_id: task.state for task in tasks}

    def switch_on(self) -> None:
        """Unpauses the training DAG, and ends the run of the last week that its schedule then creates.

        That run is not deleted: a scheduler that is at work on a run when it is deleted ends.
        """
        self.airflow.wait_for_dag(DAG_ID)
        self.airflow.set_paused(DAG_ID, False)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            for run_id in [name for name in self.airflow.runs(DAG_ID) if name.startswith("scheduled__")]:
                self.airflow.request(
                    "PATCH", f"/dags/{DAG_ID}/dagRuns/{quote(run_id, safe='')}", json={"state": "failed"}
                )
                return
            time.sleep(0.5)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    """Started once for all live tests, stopped after the last."""
    settings = Settings(home=tmp_path_factory.mktemp("stack").resolve())
    running, _ = manager.up(settings, free_ports=True)
    try:
        yield LiveStack(settings.home, added_environment(running), running, manager.client_of(running))
    finally:
        manager.down(settings)


@pytest.fixture(scope="session")
def ready(stack: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> LiveStack:
    """With a dataset in its bucket and the training DAG switched on."""
    folder = tmp_path_factory.mktemp("live") / "sample"
    generate_sample(folder, images=24, seed=4)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.env.items():
            patch.setenv(name, value)
        upload_folder(folder, DATASET)
    stack.switch_on()
    return stack


@pytest.fixture(scope="session")
def first(ready: LiveStack) -> dict[str, str]:
    """The run `live-first`, from pretrained weights: the state of each task."""
    trigger(ready, "live-first")
    state, tasks = ready.finish("live-first")
    assert state == "success", tasks
    return tasks


@pytest.fixture(scope="session")
def second(ready: LiveStack, first: dict[str, str]) -> dict[str, str]:
    """The run `live-second`, from the first one's model."""
    trigger(ready, "live-second", seed_mode="auto")
    state, tasks = ready.finish("live-second")
    assert state == "success", tasks
    return tasks


@pytest.fixture(scope="session")
def bad(ready: LiveStack, first: dict[str, str]) -> dict[str, str]:
    """The run `live-bad`, whose dataset is not there."""
    trigger(ready, "live-bad", annotations_file="missing.json", training="s3://boxwright/datasets/nowhere")
    state, tasks = ready.finish("live-bad")
    assert state == "failed"
    return tasks
