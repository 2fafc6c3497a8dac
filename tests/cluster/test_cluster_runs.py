"""Trainings over two workers on machines of their own, one of which is lost in the midst of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.config.settings import Settings
from boxwright.metadata.store import open_store
from boxwright.pipeline.lineage import trace
from boxwright.registry.opening import open_registry

if TYPE_CHECKING:
    from cluster.conftest import Cluster

EPOCHS = 12


@pytest.mark.long
def test_a_training_whose_worker_is_lost_goes_on_at_the_other_one(cluster: Cluster, environment: None) -> None:
    cluster.trigger("lost-worker", epochs=EPOCHS)
    cluster.wait_for(lambda: cluster.epochs_done("lost-worker") >= 1, "an epoch of the training")
    (lost,) = cluster.that_train()
    done = cluster.epochs_done("lost-worker")
    cluster.lose(lost)
    began = time.monotonic()
    cluster.wait_for(lambda: cluster.epochs_done("lost-worker") > done, "an epoch more")
    print(f"{lost} was lost after epoch {done}; the next one was done {time.monotonic() - began:.0f} s later")
    cluster.succeed("lost-worker")

    (version,) = [one for one in open_registry().versions("of-cluster") if one.run_id == "lost-worker"]
    assert version.accepted
    (task,) = [task for task in cluster.airflow.tasks(DAG_ID, "lost-worker") if task.task_id == "fine_tune"]
    assert task.try_number == 2
    # By way of S3: the disk that it was written to is gone.
    log = cluster.airflow.log(DAG_ID, "lost-worker", task)
    assert "resuming after epoch" in log


@pytest.mark.long
def test_two_machines_train_together_and_go_on_together_when_each_is_lost(
    cluster: Cluster, environment: None, machine: Any, variable: Any
) -> None:
    chosen = {"batch_size": 4, "freeze_batch_norm": "True", "validation_ap_epochs": 0}
    variable("boxwright_queues", "fine_tune=apart", "fine_tune", lambda task: task["queue"] == "apart")
    both = {name: machine(name) for name in ("apart-1", "apart-2")}
    cluster.trigger("together", model_name="together", epochs=EPOCHS, training_machines=2, **chosen)
    for is_first in (True, False):
        done = cluster.epochs_done("together")
        cluster.wait_for(lambda done=done: cluster.epochs_done("together") > done, "an epoch of both")
        assert set(cluster.that_train()) >= set(both)
        (at,) = cluster.hosts("together")["fine_tune"]
        (lost,) = [name for name, one in both.items() if (one.address == at) is is_first]
        done = cluster.epochs_done("together")
        cluster.lose(lost)
        began = time.monotonic()
        both[lost] = machine(lost)
        cluster.wait_for(lambda done=done: cluster.epochs_done("together") > done, "an epoch more")
        who = "the first machine" if is_first else "the other one"
        print(f"{who} was lost after epoch {done}; the next one was done {time.monotonic() - began:.0f} s later")
    states = cluster.succeed("together")
    assert (states["call_machines"], states["train_along"], states["fine_tune"]) == ("success",) * 3
    (version,) = open_registry().versions("together")
    assert version.accepted

    tasks = {task.task_id: task for task in cluster.airflow.tasks(DAG_ID, "together")}
    log = cluster.airflow.log(DAG_ID, "together", tasks["fine_tune"])
    assert "generation 3 begins" in log and "resuming after epoch" in log
    assert all(one.address in log for one in both.values())
    assert "machine 1, at " in cluster.airflow.log(DAG_ID, "together", tasks["train_along"])

    cluster.trigger("apart", model_name="apart", epochs=EPOCHS, **chosen)
    assert cluster.succeed("apart")["train_along"] == "skipped"
    together, apart = (cluster.losses(run_id) for run_id in ("together", "apart"))
    assert together == pytest.approx(apart, rel=1e-4) and len(apart) == EPOCHS


def test_an_incremental_run_over_both_workers_has_its_lineage_whole(cluster: Cluster, environment: None) -> None:
    if not open_registry().versions("of-cluster"):
        cluster.trigger("parent", epochs=2)
        cluster.succeed("parent")
    parent = open_registry().versions("of-cluster")[-1]
    # The machine that trained it is gone, with its disk: what the next run begins from, and the log, lie elsewhere.
    (address,) = cluster.hosts(parent.run_id)["fine_tune"]
    for name in [name for name, one in cluster.machines.items() if one.address == address]:
        cluster.lose(name)
    cluster.start_missing()
    cluster.trigger("incremental", epochs=2, seed_mode="incremental")
    states = cluster.succeed("incremental")
    tasks = {task.task_id: task for task in cluster.airflow.tasks(DAG_ID, parent.run_id)}
    assert "epoch 2" in cluster.airflow.log(DAG_ID, parent.run_id, tasks["fine_tune"]).lower()
    assert states["fetch_pretrained"] == "skipped" and states["register_model"] == "success"

    newest, oldest = trace("of-cluster", Settings.from_environment())
    assert (newest.run_id, oldest.run_id) == ("incremental", parent.run_id)
    assert set(newest.facts) == {"dataset", "examples", "seed", "model", "metrics", "formats", "version"}
    store = open_store(Settings.from_environment().metadata)
    context = store.get_context_by_type_and_name("pipeline_run", "incremental")
    artifacts = store.get_artifacts_by_context(context.id)
    assert len(artifacts) == len([state for name, state in states.items() if state == "success"]) - 2, (
        "one of each step but choose_seed and approve"
    )
    assert all(one.uri.startswith("boxwright://pipeline/") for one in artifacts)
    assert str(cluster.stack.home) not in str(artifacts)
