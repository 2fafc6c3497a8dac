"""A stack that stands for several machines: PostgreSQL, Redis, S3, MLflow, Airflow, and two workers apart from it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from running_stack import RunningStack, give_time

from benchmarks.scale import leave_workers
from boxwright.airflow_api.trigger import DAG_ID
from boxwright.config.settings import Settings
from boxwright.dataset.sample.generate import generate_sample
from boxwright.errors import BoxwrightError, UsageError
from boxwright.metadata.store import open_store
from boxwright.registry.opening import open_registry
from boxwright.stack import manager
from boxwright.stack.cluster import CONCURRENCY, QUEUES, require_programs
from boxwright.stack.environment import BUCKET, added_environment
from boxwright.stack.uploading import upload_dataset
from cluster.separate_machine import Machine, Network, why_not

# Seconds until what is awaited is late, on a machine that does much else, and for a test.
SECONDS, TEST_SECONDS = 1200, 2400
# For all queues.
MACHINES = ("machine-1", "machine-2")
DATASET = f"s3://{BUCKET}/datasets/cluster"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    give_time(items, Path(__file__).parent, TEST_SECONDS)


@dataclass(frozen=True)
class Cluster(RunningStack):
    """A cluster that runs.

    Attributes:
        network: between its machines.
        machines: that are up, by name.
    """

    network: Network
    machines: dict[str, Machine] = field(default_factory=dict)
    step_seconds = run_seconds = SECONDS

    def trigger(self, run_id: str, dag_id: str = DAG_ID, **conf: Any) -> None:
        settings = {
            "training": f"{DATASET}/training",
            "test": f"{DATASET}/test",
            "output": f"s3://{BUCKET}/runs",
            "model_name": "of-cluster",
            "model_id": "tiny",
            "image_size": 64,
            "gate_min_ap50": 0,
            "gate_classes_told_apart": False,
            "export_formats": ["saved_model"],
            "augmentation": "flip",
        }
        self.airflow.trigger(dag_id, run_id, settings | conf)

    def succeed(self, run_id: str) -> dict[str, str]:
        """Waits for the end of a run, which has to be a success; the state of each task."""
        state, tasks = self.finish(run_id)
        assert state == "success", tasks
        return tasks

    def epochs_done(self, run_id: str) -> int:
        """By the state of a training as it lies at the shared root."""
        with suppress(self.s3.exceptions.NoSuchKey):
            answer = self.s3.get_object(Bucket=BUCKET, Key=f"pipeline/checkpoints/{run_id}/state.json")
            return int(json.loads(answer["Body"].read())["epochs"])
        return 0

    def start(
        self, name: str, queues: Sequence[str] = QUEUES, concurrency: int = CONCURRENCY, clock: int = 0
    ) -> Machine:
        """Switches a machine on, and waits until its worker takes tasks."""
        made = self.machines[name] = Machine(self.stack, self.network, name, queues, concurrency, clock)
        self.wait_for(made.is_up, f"the worker of {name}")
        return made

    def start_missing(self) -> None:
        """Switches on those of the two machines for all queues that are not up."""
        for name in MACHINES:
            if name not in self.machines:
                self.start(name)

    def that_train(self) -> list[str]:
        """The machines among whose processes is one with TensorFlow."""
        return [name for name, machine in self.machines.items() if machine.trainings()]

    def hosts(self, run_id: str, dag_id: str = DAG_ID) -> dict[str, set[str]]:
        """The addresses of the machines that do, or last did, each task of a run."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found: dict[str, set[str]] = {}
        for one in self.airflow.request("GET", path, params={"limit": 100})["task_instances"]:
            if one["hostname"]:
                found.setdefault(one["task_id"], set()).add(one["hostname"])
        return found

    def losses(self, run_id: str) -> list[float]:
        """The loss of each epoch of a training that is done."""
        uri = self.airflow.result(DAG_ID, run_id, "fine_tune")["uri"]
        key = f"{uri.removeprefix(f's3://{BUCKET}/')}/history.json"
        answer = self.s3.get_object(Bucket=BUCKET, Key=key)
        return [record["loss"] for record in json.loads(answer["Body"].read())]

    def all_is_there_once(self, run_id: str, model_name: str) -> None:
        """One version of the run, and one finished execution of each of its steps with one output."""
        assert [one.run_id for one in open_registry().versions(model_name)].count(run_id) == 1
        store = open_store(Settings.from_environment().metadata)
        context = store.get_context_by_type_and_name("pipeline_run", run_id)
        executions = store.get_executions_by_context(context.id)
        finished = Counter(one.type_id for one in executions if one.last_known_state in (3, 4))  # COMPLETE, CACHED
        assert set(finished.values()) == {1} and len(finished) >= 10
        artifacts = Counter(one.type_id for one in store.get_artifacts_by_context(context.id))
        assert artifacts.total() == len(finished)

    def lose(self, name: str) -> None:
        """Loses a machine, with its disk."""
        self.machines.pop(name).lose()

    def lose_all(self) -> None:
        """Loses every machine."""
        for name in list(self.machines):
            self.lose(name)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster whose home is a folder, with a dataset in its bucket and the training DAG switched on.

    The workers that come with the stack take nothing; those on machines of their own do.
    """
    try:
        require_programs()
    except UsageError as error:
        pytest.skip(str(error))
    if reason := why_not():
        pytest.skip(reason)
    settings = Settings(home=folder / "home")
    with ExitStack() as ending:
        running, _ = manager.up(settings, free_ports=True, several=True)
        ending.callback(manager.down, settings)
        network = Network()
        ending.callback(network.close)
        made = Cluster(running, added_environment(running), manager.client_of(running), network)
        ending.callback(made.lose_all)
        leave_workers(running, 0)
        made.start_missing()
        generate_sample(folder / "sample", images=24, seed=4)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in made.env.items():
                patch.setenv(name, value)
            upload_dataset(folder / "sample", DATASET)
        made.airflow.wait_for_dag(DAG_ID)
        made.airflow.set_paused(DAG_ID, False)
        (scheduled,) = made.wait_for(lambda: list(made.airflow.runs(DAG_ID)), "the run of the schedule")
        assert set(made.succeed(scheduled).values()) == {"skipped"}
        yield made
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(settings.home) in str(one.info["cmdline"])]


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With both of its machines up before each test that has its environment."""
    with running_cluster(tmp_path_factory.mktemp("cluster").resolve()) as made:
        yield made


@pytest.fixture
def environment(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a shell of the cluster's."""
    cluster.start_missing()
    os.environ.pop("BOXWRIGHT_CHECKPOINT_URI", None)
    for name, value in cluster.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def machine(cluster: Cluster) -> Iterator[Callable[..., Machine]]:
    """Starts more machines, each of which does one task at a time of the queue `apart`."""

    def start(name: str, **options: Any) -> Machine:
        return cluster.start(name, ("apart",), concurrency=1, **options)

    yield start
    for name in set(cluster.machines) - set(MACHINES):
        cluster.lose(name)


@pytest.fixture
def variable(cluster: Cluster) -> Iterator[Callable[..., None]]:
    """Sets an Airflow Variable, and waits until a task of a DAG is as it says, whose file it has read at once."""
    made: dict[str, tuple[str, Callable[[], bool]]] = {}

    def wait(dag_id: str, condition: Callable[[], bool], what: str) -> None:
        token = cluster.airflow.request("GET", f"/dags/{dag_id}")["file_token"]
        cluster.airflow.request("PUT", f"/parseDagFile/{token}")
        cluster.wait_for(condition, what)

    def put(name: str, value: str, task_id: str, shows: Callable[[Any], bool], dag_id: str = DAG_ID) -> None:
        def is_so() -> bool:
            try:
                return shows(cluster.airflow.request("GET", f"/dags/{dag_id}/tasks/{task_id}"))
            except BoxwrightError:  # there is no such task yet
                return False

        assert not is_so()
        cluster.airflow.request("POST", "/variables", json={"key": name, "value": value})
        made[name] = dag_id, is_so
        wait(dag_id, is_so, f"{task_id} as the Variable {name} says")

    yield put
    for name, (dag_id, is_so) in made.items():
        cluster.airflow.request("DELETE", f"/variables/{name}")
        wait(dag_id, lambda is_so=is_so: not is_so(), f"a DAG without the Variable {name}")
