"""What else Airflow starts, over both machines: a backfill of three weeks, batch inference, and a study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batch_run import detect, put_images
from live.weekly_runs import MODEL, backfill, by_week, dataset_of, run_of

from boxwright.config.settings import Settings
from boxwright.dataset.sample.generate import generate_sample
from boxwright.pipeline.lineage import trace
from boxwright.registry.opening import open_registry
from boxwright.stack.environment import BUCKET
from boxwright.stack.uploading import upload_dataset
from boxwright.tuning.records import Outcome, TrialState

if TYPE_CHECKING:
    from cluster.conftest import Cluster

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
WEEKS = range(3)
TUNING_DAG, STUDY, TRIALS = "object_detection_tuning", "cluster-tuning", 4
# For some ten trainings, on a machine that does much else.
STUDY_SECONDS = 2700


def test_a_backfill_of_three_weeks(cluster: Cluster, environment: None, tmp_path: Path) -> None:
    for week in WEEKS:
        folder = tmp_path / f"week-{week}"
        generate_sample(folder, images=12, seed=week)
        upload_dataset(folder / "training", dataset_of(week))
    assert backfill(cluster, 0, WEEKS[-1], max_active_runs=2) == dict.fromkeys(WEEKS, "success")
    assert list(by_week(open_registry())) == list(WEEKS)
    for week in WEEKS:
        cluster.all_is_there_once(run_of(week), MODEL)
    hosts = {host for week in WEEKS for of_task in cluster.hosts(run_of(week)).values() for host in of_task}
    assert hosts == {one.address for one in cluster.machines.values()}


def test_batch_inference(cluster: Cluster, environment: None, tmp_path: Path) -> None:
    put_images(cluster, tmp_path)
    detect(cluster, "cluster-batch")


def test_a_study_whose_trials_two_machines_do(cluster: Cluster, environment: None, machine: Any, variable: Any) -> None:
    cluster.airflow.wait_for_dag(TUNING_DAG)
    variable("boxwright_queues", "fine_tune=apart", "trial", lambda task: task["queue"] == "apart", TUNING_DAG)
    both = [machine(name).address for name in ("apart-1", "apart-2")]
    cluster.airflow.set_paused(TUNING_DAG, False)
    cluster.trigger(
        STUDY,
        TUNING_DAG,
        model_name="tuned",
        epochs=2,
        tuning_trials=TRIALS,
        tuning_parallel=2,
        tuning_sampler="random",
        tuning_proof_seeds=2,
        tuning_ranges=json.dumps({"learning_rate": {"min": 1e-4, "max": 1e-2}}),
    )
    ended = ("success", "failed")
    cluster.wait_for(lambda: cluster.airflow.runs(TUNING_DAG)[STUDY] in ended, "the study's end", STUDY_SECONDS)
    state, tasks = cluster.finish(STUDY, TUNING_DAG)
    assert state == "success", tasks
    stored = cluster.s3.get_object(Bucket=BUCKET, Key=f"runs/{STUDY}/output/{Outcome.FILE}")["Body"].read()
    outcome = Outcome.parse(stored, Outcome.FILE)
    assert [one.number for one in outcome.trials] == [*range(TRIALS)]
    assert {one.state for one in outcome.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert cluster.hosts(STUDY, TUNING_DAG)["trial"] == set(both)
    (version,) = open_registry().versions("tuned")
    assert (version.run_id, version.accepted, version.tags["boxwright.study"]) == (STUDY, True, STUDY)
    (traced,) = trace("tuned", Settings.from_environment())
    assert traced.facts["study"]["study"] == STUDY
