"""The whole local stack as a fixture, real servers on free ports in a folder of their own, and the runs in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from running_stack import RunningStack, give_time
from walk import Shell

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
from live.live_runs import DATASET, RUN_SECONDS, STEP_SECONDS, TEST_SECONDS, FirstRun, log_in
from live.pages import Visit, visiting
from live.weekly_runs import CONF, QUICK, dataset_of, ended, register_todays_champion


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives the tests here the time that runs take."""
    give_time(items, Path(__file__).parent, TEST_SECONDS)


@dataclass(frozen=True)
class LiveStack(RunningStack):
    """The stack of one machine.

    Attributes:
        home: its `BOXWRIGHT_HOME`.
    """

    home: Path
    step_seconds = STEP_SECONDS
    run_seconds = RUN_SECONDS

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    @property
    def registry(self) -> Registry:
        login = f"{self.env['MLFLOW_TRACKING_USERNAME']}:{self.env['MLFLOW_TRACKING_PASSWORD']}"
        return open_registry(self.env["MLFLOW_TRACKING_URI"].replace("://", f"://{login}@"))

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


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    """Started once for all live tests, stopped after the last."""
    settings = Settings(home=tmp_path_factory.mktemp("stack").resolve())
    running, _ = manager.up(settings, free_ports=True)
    try:
        yield LiveStack(running, added_environment(running), manager.client_of(running), settings.home)
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


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
def first_run(ready: LiveStack) -> FirstRun:
    """The run `live-first`, started or not."""
    return FirstRun(ready)


@pytest.fixture(scope="package")
def first(first_run: FirstRun) -> dict[str, str]:
    """The run `live-first`, ended: the state of each task."""
    return first_run.finish()


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
def shell(ready: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A user's shell, into which commands of the tutorial are pasted; it has a token of Airflow's."""
    opened = Shell(tmp_path_factory.mktemp("user"), ready.home)
    opened.run("token")
    return opened


@pytest.fixture(scope="package")
def two_weeks(weekly: LiveStack, shell: Shell) -> dict[int, str]:
    """The tutorial's backfill of two weeks, whose runs may be active at once: the state of each week's run."""
    settings = json.dumps(QUICK | {"output": CONF["output"]})[1:-1]

    def create() -> Any:
        try:
            return json.loads(shell.run("backfill", {'"epochs": 20': settings}))
        except AssertionError as error:  # of SQLite, where PostgreSQL cannot run
            assert "Database is locked" in str(error)

    return ended(weekly, weekly.wait_for(create, "a backfill to be made"), 0, 1)


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
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
