"""The whole local stack as a fixture, real servers on free ports in a folder of their own, and the runs in it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from live_runs import DATASET, RUN_SECONDS, STEP_SECONDS, TEST_SECONDS, FirstRun, log_in
from pages import Visit, visiting
from walk import Shell
from weekly_runs import CONF, QUICK, dataset_of, ended, register_todays_champion

from boxwright.airflow_api.client import AirflowClient
from boxwright.airflow_api.trigger import DAG_ID
from boxwright.config.settings import Settings
from boxwright.dataset.sample.generate import generate_sample
from boxwright.registry.opening import open_registry
from boxwright.registry.port import Registry
from boxwright.stack import manager
from boxwright.stack.environment import Stack, added_environment
from boxwright.stack.processes import MARK
from boxwright.stack.services import SERVICES
from boxwright.stack.uploading import upload_dataset


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives the tests here the time that runs take."""
    for item in items:
        if item.path.parent == Path(__file__).parent and not item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


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
        login = f"{self.env['MLFLOW_TRACKING_USERNAME']}:{self.env['MLFLOW_TRACKING_PASSWORD']}"
        return open_registry(self.env["MLFLOW_TRACKING_URI"].replace("://", f"://{login}@"))

    def wait_for(self, condition: Callable[[], Any], what: str, seconds: float = STEP_SECONDS) -> Any:
        """Calls `condition` until it returns something, and returns that; fails with `what` was awaited."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
            time.sleep(0.2)
        return found

    def finish(self, run_id: str, dag_id: str = DAG_ID) -> tuple[str, dict[str, str]]:
        """Waits for the end of a run; its state, and those of its tasks."""
        deadline = time.monotonic() + RUN_SECONDS
        for state, tasks in self.airflow.follow(dag_id, run_id):
            assert time.monotonic() < deadline, f"run {run_id} is still {state} after {RUN_SECONDS} s: {tasks}"
        return state, {task.task_id: task.state for task in tasks}

    def switch_on(self) -> None:
        """Unpauses the training DAG, and waits until the run of last week that its schedule then creates is skipped."""
        self.airflow.wait_for_dag(DAG_ID)
        self.airflow.set_paused(DAG_ID, False)
        (run_id,) = self.wait_for(
            lambda: [name for name in self.airflow.runs(DAG_ID) if name.startswith("scheduled__")],
            "the run of the schedule",
        )
        state, tasks = self.finish(run_id)
        assert (state, set(tasks.values())) == ("success", {"skipped"})


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    """Started once for all live tests, stopped after the last."""
    settings = Settings(home=tmp_path_factory.mktemp("stack").resolve())
    running, _ = manager.up(settings, free_ports=True)
    try:
        yield LiveStack(settings.home, added_environment(running), running, manager.client_of(running))
    finally:
        manager.down(settings)
        assert left_of(running) == [], "nothing of the stack is left"


def left_of(stack: Stack) -> list[str]:
    """The processes of a stack, whatever became of their parents, and the files that it has outside of its folder."""
    mark = f"{stack.folder}:"
    processes = [process for process in psutil.process_iter() if mark_of(process).startswith(mark)]
    sockets = [path for service in SERVICES for path in service.leaves(stack) if path.exists()]
    return [*map(str, processes), *map(str, sockets)]


def mark_of(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return str(process.environ().get(MARK, ""))
    return ""


@pytest.fixture(scope="session")
def ready(stack: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> LiveStack:
    """With a dataset in its bucket and the training DAG switched on."""
    folder = tmp_path_factory.mktemp("live") / "sample"
    generate_sample(folder, images=24, seed=4)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.env.items():
            patch.setenv(name, value)
        upload_dataset(folder, DATASET)
    stack.switch_on()
    return stack


@pytest.fixture(scope="session")
def first_run(ready: LiveStack) -> FirstRun:
    """The run `live-first`, started or not."""
    return FirstRun(ready)


@pytest.fixture(scope="session")
def first(first_run: FirstRun) -> dict[str, str]:
    """The run `live-first`, ended: the state of each task."""
    return first_run.finish()


@pytest.fixture(scope="session")
def weekly(ready: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> LiveStack:
    """With a dataset for each of six weeks, and a champion of today."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ready.env.items():
            patch.setenv(name, value)
        for week in range(6):
            folder = tmp_path_factory.mktemp("weekly") / "sample"
            generate_sample(folder, images=12, seed=week)
            upload_dataset(folder / "training", dataset_of(week))
        register_todays_champion(ready, tmp_path_factory.mktemp("champion") / "picture.png")
    return ready


@pytest.fixture(scope="session")
def shell(ready: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A user's shell, into which commands of the tutorial are pasted; it has a token of Airflow's."""
    opened = Shell(tmp_path_factory.mktemp("user"), ready.home)
    opened.run("token")
    return opened


@pytest.fixture(scope="session")
def two_weeks(weekly: LiveStack, shell: Shell) -> dict[int, str]:
    """The tutorial's backfill of two weeks, whose runs may be active at once: the state of each week's run."""
    settings = json.dumps(QUICK | {"output": CONF["output"]})[1:-1]

    def create() -> Any:
        try:
            return json.loads(shell.run("backfill", {'"epochs": 20': settings}))
        except AssertionError as error:  # of SQLite, where PostgreSQL cannot run
            assert "Database is locked" in str(error)

    return ended(weekly, weekly.wait_for(create, "a backfill to be made"), 0, 1)


@pytest.fixture(scope="session")
def bad(ready: LiveStack, shell: Shell) -> str:
    """The id of a run on an announced dataset that is not there, as the tutorial announces one; it has failed."""
    elsewhere = 's3://boxwright/announced/nothing-here\\", \\"annotations_file\\": \\"missing.json'
    shell.run("event", {"s3://boxwright/datasets/bolts/training": elsewhere})
    (run_id, *_) = ready.wait_for(
        lambda: [name for name in ready.airflow.runs(DAG_ID) if name.startswith("asset_triggered__")],
        "a run that the announced dataset starts",
    )
    state, _ = ready.finish(run_id)
    assert state == "failed"
    return str(run_id)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a picture of each page is kept: `BOXWRIGHT_SCREENSHOTS`, or a folder of the test session."""
    return Path(os.environ.get("BOXWRIGHT_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))


@pytest.fixture
def visit(browser: Any, ready: LiveStack) -> Iterator[Visit]:
    """A visit of the administrator's."""
    with visiting(browser, ready.stack, log_in(ready.stack)) as opened:
        yield opened


@pytest.fixture
def sample(tmp_path: Path) -> list[Path]:
    """Images of the kind that the models were trained on."""
    generate_sample(tmp_path / "sample", images=10, seed=9)
    return sorted((tmp_path / "sample").rglob("*.jpg"))
