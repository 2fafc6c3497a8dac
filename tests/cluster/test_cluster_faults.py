"""What goes wrong between machines: each ends with one version of each run, nothing lost, and nothing double."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.config.settings import Settings
from boxwright.metadata.store import open_store
from boxwright.registry.opening import open_registry
from boxwright.stack.cluster import WORKERS
from boxwright.stack.environment import stack_environment
from boxwright.stack.processes import ProcessTable
from boxwright.stack.services import program
from cluster.separate_machine import Machine, why_not

if TYPE_CHECKING:
    from cluster.conftest import Cluster

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
EPOCHS = 12
CUT_SECONDS = 120


def all_is_there_once(run_id: str, model_name: str) -> None:
    """One version of the run, and one finished execution of each of its steps with one output."""
    assert [one.run_id for one in open_registry().versions(model_name)].count(run_id) == 1
    store = open_store(Settings.from_environment().metadata)
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    executions = store.get_executions_by_context(context.id)
    finished = Counter(one.type_id for one in executions if one.last_known_state in (3, 4))  # COMPLETE, CACHED
    assert set(finished.values()) == {1} and len(finished) >= 10
    artifacts = Counter(one.type_id for one in store.get_artifacts_by_context(context.id))
    assert artifacts.total() == len(finished)


@pytest.fixture
def variable(cluster: Cluster) -> Iterator[Callable[[str, str, str, Callable[[Any], bool]], None]]:
    """Sets an Airflow Variable, and waits until a task of the DAG is as it says."""
    made: list[str] = []

    def put(name: str, value: str, task_id: str, shows: Callable[[Any], bool]) -> None:
        cluster.airflow.request("POST", "/variables", json={"key": name, "value": value})
        made.append(name)

        def has_come() -> bool:
            with suppress(Exception):  # there is no such task yet
                return shows(cluster.airflow.request("GET", f"/dags/{DAG_ID}/tasks/{task_id}"))
            return False

        cluster.wait_for(has_come, f"{task_id} as the Variable {name} says")

    yield put
    for name in made:
        cluster.airflow.request("DELETE", f"/variables/{name}")


@pytest.fixture
def machine(cluster: Cluster) -> Iterator[Callable[[str, str], Machine]]:
    """Starts workers on machines of their own."""
    if reason := why_not():
        pytest.skip(reason)
    made: list[Machine] = []

    def start(name: str, queue: str) -> Machine:
        made.append(Machine(cluster.stack, name, queue))
        cluster.wait_for(made[-1].has_network, f"the network of {name}")
        cluster.wait_for(lambda: b" ready." in made[-1].log.read_bytes(), f"the worker {name}")
        return made[-1]

    yield start
    for one in made:
        one.stop()


def test_a_machine_whose_network_was_cut_writes_nothing_when_it_is_back(
    cluster: Cluster, environment: None, machine: Any, variable: Any
) -> None:
    variable("boxwright_queues", "fine_tune=apart", "fine_tune", lambda task: task["queue"] == "apart")
    first = machine("apart-1", "apart")
    cluster.trigger("cut-off", model_name="cut-off", epochs=EPOCHS)
    cluster.wait_for(lambda: cluster.epochs_done("cut-off") >= 1, "an epoch of the training")
    first.cut()
    began = time.monotonic()
    machine("apart-2", "apart")
    cluster.wait_for(lambda: not first.trainings(), "the end of a training that cannot renew its lease")
    print(f"the training on the machine without network ended itself after {time.monotonic() - began:.0f} s")
    time.sleep(max(0.0, CUT_SECONDS - (time.monotonic() - began)))
    first.mend()
    cluster.succeed("cut-off")
    print(f"the run ended {time.monotonic() - began:.0f} s after the network was cut")
    all_is_there_once("cut-off", "cut-off")
    (task,) = [one for one in cluster.airflow.tasks(DAG_ID, "cut-off") if one.task_id == "fine_tune"]
    assert task.try_number >= 2 and "resuming after epoch" in cluster.airflow.log(DAG_ID, "cut-off", task)


def test_images_are_checked_by_several_workers(cluster: Cluster, environment: None, variable: Any) -> None:
    variable("boxwright_download_parts", "3", "check_images", lambda task: bool(task["is_mapped"]))
    cluster.trigger("in-parts", model_name="in-parts", epochs=1)
    assert cluster.succeed("in-parts")["check_images"] == "success"
    all_is_there_once("in-parts", "in-parts")
    path = f"/dags/{DAG_ID}/dagRuns/in-parts/taskInstances/check_images/listMapped"
    assert len(cluster.airflow.request("GET", path)["task_instances"]) == 3
    (task,) = [one for one in cluster.airflow.tasks(DAG_ID, "in-parts") if one.task_id == "download_dataset"]
    log = cluster.airflow.log(DAG_ID, "in-parts", task)
    assert " 0 files fetched" in log and not [line for line in log.splitlines() if "24 files" in line]


def test_s3_is_gone_for_a_minute(cluster: Cluster, environment: None) -> None:
    server = ProcessTable(cluster.stack.folder).find("s3")
    assert server
    for number, moment in enumerate(("an epoch of the training", "its beginning")):
        run_id = f"no-store-{number}"
        cluster.trigger(run_id, model_name="no-store", epochs=EPOCHS, force=True)
        if number == 0:
            cluster.wait_for(lambda run_id=run_id: cluster.epochs_done(run_id) >= 1, moment)
        server.send_signal(signal.SIGSTOP)
        time.sleep(60)
        server.send_signal(signal.SIGCONT)
        cluster.succeed(run_id)
        all_is_there_once(run_id, "no-store")


def test_two_schedulers_one_of_which_is_killed(cluster: Cluster, environment: None) -> None:
    folder = cluster.stack.folder
    command = [program("airflow"), "scheduler"]
    with (folder / "logs" / "second-scheduler.log").open("wb") as log:
        second = subprocess.Popen(
            command, env=stack_environment(cluster.stack, os.environ), cwd=folder, stdout=log, stderr=log
        )
    runs = [f"shared-{number}" for number in range(4)]
    try:
        for run_id in runs:
            cluster.trigger(run_id, model_name="shared", epochs=2, force=True)
        cluster.wait_for(lambda: cluster.epochs_done(runs[0]) >= 1, "an epoch of the first run")
        first = ProcessTable(folder).find("scheduler")
        assert first
        first.kill()
        for run_id in runs:
            cluster.succeed(run_id)
            all_is_there_once(run_id, "shared")
    finally:
        second.terminate()
        second.wait(60)
    assert open_registry().aliases("shared")["champion"] in range(1, len(runs) + 1)


def test_redis_forgets_what_waits_in_it(cluster: Cluster, environment: None) -> None:
    """Airflow hands it out anew after its scheduler.task_queued_timeout, ten minutes."""
    import redis

    runs = [f"forgotten-{number}" for number in range(4)]
    broker = redis.Redis.from_url(cluster.stack.broker)
    table = ProcessTable(cluster.stack.folder)
    workers = [worker for name in WORKERS if (worker := table.find(name))]
    for worker in workers:
        worker.suspend()
    try:
        for run_id in runs:
            cluster.trigger(run_id, model_name="forgotten", epochs=2, force=True)
        # Each worker had asked for one, which is on its way.
        cluster.wait_for(lambda: waiting(broker) >= len(runs) - len(workers), "tasks that wait in the broker")
        lost = waiting(broker)
        broker.flushall()
    finally:
        for worker in workers:
            worker.resume()
    began = time.monotonic()
    for run_id in runs:
        cluster.succeed(run_id)
        all_is_there_once(run_id, "forgotten")
    print(f"Redis lost {lost} tasks; all four runs had ended {time.monotonic() - began:.0f} s later")


def waiting(broker: Any) -> int:
    """The tasks that no worker has taken."""
    return sum(int(broker.llen(name)) for name in ("default", "data", "gpu"))
