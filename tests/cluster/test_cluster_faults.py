"""What goes wrong between machines: each ends with one version of each run, nothing lost, and nothing double."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.errors import BoxwrightError
from boxwright.pipeline.nodes import NODES
from boxwright.registry.opening import open_registry
from boxwright.stack.cluster import QUEUES
from boxwright.stack.environment import stack_environment
from boxwright.stack.processes import ProcessTable
from boxwright.stack.services import program
from boxwright.stack.supervision import Patience

if TYPE_CHECKING:
    from cluster.conftest import Cluster

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
EPOCHS = 12
CUT_SECONDS = 120
STEPS = [node.id for node in NODES]
ON_APART = ", ".join(f"{step}=apart" for step in STEPS)
# In which PostgreSQL is restarted, until it was in each step.
MOST_RUNS = 8


def test_a_machine_whose_network_was_cut_writes_nothing_when_it_is_back(
    cluster: Cluster, environment: None, machine: Any, variable: Any
) -> None:
    variable("boxwright_queues", "fine_tune=apart", "fine_tune", lambda task: task["queue"] == "apart")
    first = machine("apart-1")
    cluster.trigger("cut-off", model_name="cut-off", epochs=EPOCHS)
    cluster.wait_for(lambda: cluster.epochs_done("cut-off") >= 1, "an epoch of the training")
    first.cut()
    began = time.monotonic()
    machine("apart-2")
    cluster.wait_for(lambda: not first.trainings(), "the end of a training that cannot renew its lease")
    print(f"the training on the machine without network ended itself after {time.monotonic() - began:.0f} s")
    time.sleep(max(0.0, CUT_SECONDS - (time.monotonic() - began)))
    first.mend()
    cluster.succeed("cut-off")
    print(f"the run ended {time.monotonic() - began:.0f} s after the network was cut")
    cluster.all_is_there_once("cut-off", "cut-off")
    (task,) = [one for one in cluster.airflow.tasks(DAG_ID, "cut-off") if one.task_id == "fine_tune"]
    assert task.try_number >= 2 and "resuming after epoch" in cluster.airflow.log(DAG_ID, "cut-off", task)


@pytest.mark.parametrize("clock", [600, -600], ids=["ahead", "behind"])
def test_a_machine_whose_clock_is_ten_minutes_off(
    cluster: Cluster, environment: None, machine: Any, variable: Any, clock: int
) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no compiler for what moves a clock: on Debian apt-get install gcc libc6-dev")
    variable("boxwright_queues", ON_APART, "register_model", lambda task: task["queue"] == "apart")
    off = machine("apart-off", clock=clock)
    run_id = f"clock-{clock}"
    cluster.trigger(run_id, model_name="clock", epochs=2, force=True)
    cluster.succeed(run_id)
    cluster.all_is_there_once(run_id, "clock")
    hosts = cluster.hosts(run_id)
    assert hosts["download_dataset"] == hosts["fine_tune"] == hosts["register_model"] == {off.address}
    told = off.run([program("boxwright"), "doctor", "--json"])
    wrong = {one["subject"] for one in json.loads(told.stdout)["findings"] if one["verdict"] == "wrong"}
    assert told.returncode == 4 and wrong == {"clock and S3's", "clock and PostgreSQL's"}, told.stdout + told.stderr


def test_images_are_checked_by_several_workers(cluster: Cluster, environment: None, variable: Any) -> None:
    variable("boxwright_download_parts", "3", "check_images", lambda task: bool(task["is_mapped"]))
    cluster.trigger("in-parts", model_name="in-parts", epochs=1)
    assert cluster.succeed("in-parts")["check_images"] == "success"
    cluster.all_is_there_once("in-parts", "in-parts")
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
        cluster.all_is_there_once(run_id, "no-store")


def test_postgresql_is_restarted_in_each_step(cluster: Cluster, environment: None) -> None:
    hit: set[str] = set()
    for number in range(MOST_RUNS):
        run_id = f"restarts-{number}"
        cluster.trigger(run_id, model_name="restarts", epochs=2, force=True)
        done = _restart_postgresql(cluster, run_id, hit)
        cluster.all_is_there_once(run_id, "restarts")
        print(f"PostgreSQL was restarted in {len(hit & done)} of {len(done)} steps; not in {sorted(done - hit)}")
        if done <= hit:
            return
    pytest.fail("steps are left")


def _restart_postgresql(cluster: Cluster, run_id: str, hit: set[str]) -> set[str]:
    """Restarts it in each step of a run that was not hit before; the steps that were done."""
    table = ProcessTable(cluster.stack.folder)
    steps: dict[str, str | None] = {}
    state, last = "queued", 0.0
    deadline = time.monotonic() + cluster.run_seconds
    while state not in ("success", "failed"):
        assert time.monotonic() < deadline, (hit, steps)
        # The API server answers for PostgreSQL, and is away with it.
        with suppress(BoxwrightError):
            state = str(cluster.airflow.request("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}")["state"])
            steps = {one.task_id: one.state for one in cluster.airflow.tasks(DAG_ID, run_id) if one.task_id in STEPS}
        running = {name for name, is_in in steps.items() if is_in == "running"}
        # The supervisor gives up what dies again and again before it has settled.
        has_settled = time.monotonic() - last > Patience().settled + 10
        if running - hit and has_settled and (process := table.find("postgres")):
            hit |= running
            last = time.monotonic()
            # A fast shutdown: who is connected is cut off.
            process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert state == "success", steps
    return {name for name, is_in in steps.items() if is_in == "success"}


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
            cluster.all_is_there_once(run_id, "shared")
    finally:
        second.terminate()
        second.wait(60)
    assert open_registry().aliases("shared")["champion"] in range(1, len(runs) + 1)


def test_redis_forgets_what_waits_in_it(cluster: Cluster, environment: None) -> None:
    """Airflow hands it out anew after its scheduler.task_queued_timeout, ten minutes."""
    import redis

    runs = [f"forgotten-{number}" for number in range(4)]
    broker = redis.Redis.from_url(cluster.stack.broker)
    processes = [process for one in cluster.machines.values() for process in one.processes()]
    for process in processes:
        process.suspend()
    try:
        for run_id in runs:
            cluster.trigger(run_id, model_name="forgotten", epochs=2, force=True)
        # Each worker had asked for one, which is on its way.
        cluster.wait_for(lambda: waiting(broker) >= len(runs) - len(cluster.machines), "tasks that wait in the broker")
        lost = waiting(broker)
        broker.flushall()
    finally:
        for process in processes:
            process.resume()
    began = time.monotonic()
    for run_id in runs:
        cluster.succeed(run_id)
        cluster.all_is_there_once(run_id, "forgotten")
    print(f"Redis lost {lost} tasks; all four runs had ended {time.monotonic() - began:.0f} s later")


def waiting(broker: Any) -> int:
    """The tasks that no worker has taken."""
    return sum(int(broker.llen(name)) for name in QUEUES)
