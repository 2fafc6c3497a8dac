"""The DAG of tuning as Airflow's own processor sees it, and what its tasks run with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import airflow_env
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from boxwright.config import SECTIONS, RunConfig, TuningConfig, flat_names
from boxwright.errors import UsageError
from boxwright_airflow import operators, tuning
from boxwright_airflow.run_settings import tuning_from_params, without_tuning

DAG_ID = "object_detection_tuning"
ORDER = [
    "validate_annotations", "download_dataset", "build_examples", "choose_seed", "fetch_pretrained", "open_study",
    "trial", "choose_best", "fine_tune", "evaluate", "export_label_map", "package_model", "export_formats",
    "quality_gate", "approve", "register_model",
]  # fmt: skip


@pytest.fixture(scope="module")
def dag() -> DAG:
    bag = DagBag(dag_folder=str(airflow_env.DAGS))
    assert bag.import_errors == {}
    return bag.dags[DAG_ID]


def test_the_edges_are_exactly_these(dag: DAG) -> None:
    edges = {(task.task_id, below) for task in dag.tasks for below in task.downstream_task_ids}
    other_seed = {("choose_seed", "resolve_parent"), ("resolve_parent", "open_study")}
    assert edges == {*zip(ORDER, ORDER[1:], strict=False)} | other_seed


def test_trials_are_mapped_wait_for_a_gpu_and_leave_the_choice_to_a_task_that_always_runs(dag: DAG) -> None:
    trial = dag.get_task("trial")
    assert trial.is_mapped
    assert (trial.pool, trial.queue, trial.max_active_tis_per_dagrun) == ("gpu", "gpu", 2)
    assert dag.get_task("choose_best").trigger_rule == "all_done"
    assert dag.get_task("open_study").trigger_rule == "none_failed_min_one_success"


def test_the_form_has_every_setting_of_the_run_and_of_the_study(dag: DAG) -> None:
    names = {*flat_names(), "study", *(f"tuning_{name}" for name in TuningConfig.model_fields)}
    assert set(dag.params) == names
    values = dag.params.dump()
    assert tuning_from_params(values) == TuningConfig()
    assert set(without_tuning(values)) == set(flat_names())


def test_a_wrong_range_is_told_by_its_name() -> None:
    with pytest.raises(UsageError, match="'eps' is called epsilon here"):
        tuning_from_params({"tuning_ranges": '{"eps": [1, 2]}'})


def test_the_steps_before_run_as_they_are_and_those_after_with_what_won(
    dag: DAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"training": "/t", "test": "/e", "output": "/o", "model_id": "tiny", "tuning_trials": 3, "study": None}
    dag_run = SimpleNamespace(
        run_id="manual__1", run_type="manual", run_after="2026-01-02T00:00:00+00:00", data_interval_end=None,
        dag_id=DAG_ID, consumed_asset_events=[],
    )  # fmt: skip
    chosen = {"study": "s", "chosen": {"batch_size": 5, "optimizer": "sgd"}, "verdict": "a gain"}
    ti = SimpleNamespace(xcom_pull=lambda task_ids: chosen if task_ids == "choose_best" else None)
    monkeypatch.setattr(operators, "params_of_event", lambda dag_run: {})
    context: dict[str, Any] = {"params": given, "dag_run": dag_run, "ti": ti}

    config, run, study, name = tuning.resolve_tuning(context)
    assert (config.hyperparameters, study.trials, name) == (
        RunConfig.model_fields["hyperparameters"].default,
        3,
        "manual__1",
    )
    assert set(SECTIONS) <= set(RunConfig.model_fields)
    assert dag.get_task("download_dataset").resolve(context) == (config, run)
    assert dag.get_task("choose_seed").resolve(context)[0].force
    with pytest.raises(UsageError, match="training_machines=2: the Airflow DAG of trainings alone starts"):
        dag.get_task("validate_annotations").resolve(context | {"params": given | {"training_machines": 2}})
    for task in ("fine_tune", "approve", "register_model"):
        after, of = dag.get_task(task).resolve(context)
        assert after.hyperparameters.model_dump(exclude_unset=True) == chosen["chosen"]
        assert (of.study, of.tuned) == ("s", '{"batch_size": 5, "optimizer": "sgd"}')
