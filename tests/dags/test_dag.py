"""The DAG as Airflow's own processor sees it."""

from __future__ import annotations

import copy
import json
import sys

import airflow_env
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, AssetOrTimeSchedule, CronDataIntervalTimetable
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from boxwright.pipeline import nodes
from boxwright.pipeline.nodes import NODES, Node, Phase, find_node
from boxwright_airflow.queues import queues
from boxwright_airflow.run_settings import config_from_params
from boxwright_airflow.training_tasks import in_order

DAG_ID = "object_detection_training"
BEFORE = ["validate_annotations", "download_dataset", "build_examples", "choose_seed"]
AFTER = [
    "fine_tune", "evaluate", "export_label_map", "package_model", "export_formats", "quality_gate", "approve",
    "register_model",
]  # fmt: skip
BRANCHES = ["fetch_pretrained", "resolve_parent", "reuse_version"]
MACHINES = ["call_machines", "train_along"]


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(dag_folder=str(airflow_env.DAGS))


@pytest.fixture(scope="module")
def dag(bag: DagBag) -> DAG:
    return bag.dags[DAG_ID]


def test_the_folder_parses(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert DAG_ID in bag.dags


@pytest.mark.parametrize("dag_id", [DAG_ID, "object_detection_tuning"])
def test_the_settings_of_a_run_stand_once_in_what_airflow_keeps_of_a_dag(bag: DagBag, dag_id: str) -> None:
    kept = DagSerialization.to_dict(bag.dags[dag_id])["dag"]
    assert "image_size" in dict(kept["params"])
    assert [task["__var"]["task_id"] for task in kept["tasks"] if "image_size" in json.dumps(task)] == []


def test_the_edges_are_exactly_these(dag: DAG) -> None:
    edges = {(task.task_id, below) for task in dag.tasks for below in task.downstream_task_ids}
    straight = {*zip(BEFORE, BEFORE[1:], strict=False), *zip(AFTER, AFTER[1:], strict=False)}
    around = {("choose_seed", seed) for seed in BRANCHES}
    joined = {(seed, "fine_tune") for seed in BRANCHES[:2]}
    beside = {("choose_seed", "call_machines"), ("call_machines", "train_along")}
    assert edges == straight | around | joined | beside


def test_each_step_runs_the_node_of_its_own_name(dag: DAG) -> None:
    own = ("choose_seed", "approve", *MACHINES)
    nodes = {task.task_id: task.node for task in dag.tasks if task.task_id not in own}
    steps = [name for name in AFTER if name != "approve"]
    assert nodes == {name: name for name in [*BEFORE[:3], *BRANCHES, *steps]}


def test_a_new_row_of_the_table_is_a_task_of_the_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    place = NODES.index(find_node("evaluate")) + 1
    explain = Node("explain", "Explain", "says why a box was drawn", Phase.MODEL)
    monkeypatch.setattr(nodes, "NODES", (*NODES[:place], explain, *NODES[place:]))
    dag = DagBag(dag_folder=str(airflow_env.DAGS)).dags[DAG_ID]
    task = dag.get_task("explain")
    assert (task.node, task.upstream_task_ids, task.downstream_task_ids) == (
        "explain",
        {"evaluate"},
        {"export_label_map"},
    )
    assert "13. `explain` says why a box was drawn." in dag.doc_md


def test_images_are_checked_in_parts_where_an_administrator_has_them_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_DOWNLOAD_PARTS", " 3 ")
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_QUEUES", "download_dataset=network")
    for dag in DagBag(dag_folder=str(airflow_env.DAGS)).dags.values():
        if "download_dataset" in dag.task_ids:
            checks = dag.get_task("check_images")
            assert checks.expand_input.value == {"part": [0, 1, 2]} and checks.partial_kwargs["parts"] == 3
            assert (checks.upstream_task_ids, checks.downstream_task_ids) == (
                {"validate_annotations"},
                {"download_dataset"},
            )
            assert checks.queue == "network" == dag.get_task("download_dataset").queue


@pytest.mark.parametrize("text", ["0", "-1", "257", "two", "1.5", "²"])
def test_parts_that_cannot_be_are_the_dags_import_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_DOWNLOAD_PARTS", text)
    errors = DagBag(dag_folder=str(airflow_env.DAGS)).import_errors
    assert "expected a whole number from 1 to 256" in errors[str(airflow_env.DAGS / "object_detection_training.py")]


def test_the_pages_know_the_tasks_in_the_order_in_which_they_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_DOWNLOAD_PARTS", "2")
    dag = DagBag(dag_folder=str(airflow_env.DAGS)).dags[DAG_ID]
    order = [task.id for task in in_order()]
    assert sorted(order) == sorted(dag.task_ids)
    for task in dag.tasks:
        assert all(order.index(task.task_id) < order.index(below) for below in task.downstream_task_ids)


def test_the_task_that_registers_announces_the_model(dag: DAG) -> None:
    outlets = {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks if task.outlets}
    assert outlets == {"register_model": ["object_detection_model"]}


def test_training_joins_the_branch_and_waits_for_a_gpu(dag: DAG) -> None:
    training = dag.get_task("fine_tune")
    assert training.trigger_rule == "none_failed_min_one_success"
    assert (training.pool, training.queue) == ("gpu", "gpu")
    others = [task for task in dag.tasks if task.task_id not in ("fine_tune", "train_along")]
    assert {(task.pool, task.trigger_rule) for task in others} == {("default_pool", "all_success")}


def test_each_other_machine_is_a_mapped_task_with_a_slot_of_its_own_that_nothing_waits_for(dag: DAG) -> None:
    training, other = dag.get_task("fine_tune"), dag.get_task("train_along")
    assert other.is_mapped and not other.downstream_task_ids
    assert (other.pool, other.queue) == (training.pool, training.queue)
    # A task's weight is its own and that of all tasks behind it, unless it says otherwise.
    assert other.priority_weight > len(dag.tasks), "or two trainings may wait for each other's slots"
    assert dag.get_task("call_machines").pool == "default_pool" and dag.get_task("call_machines").reschedule


def test_steps_wait_in_the_queues_of_those_who_can_do_them(dag: DAG) -> None:
    queues = {task.task_id: task.queue for task in dag.tasks if task.queue != "default"}
    assert queues == {
        "download_dataset": "data", "build_examples": "data", "fine_tune": "gpu", "evaluate": "gpu",
        "train_along": "gpu",
    }  # fmt: skip


def test_an_administrator_moves_steps_to_other_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_QUEUES", "fine_tune=gpu-large, evaluate = default,")
    moved = DagBag(dag_folder=str(airflow_env.DAGS)).dags[DAG_ID]
    assert [moved.get_task(name).queue for name in ("fine_tune", "train_along", "evaluate", "build_examples")] == [
        "gpu-large",
        "gpu-large",
        "default",
        "data",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fine_tune", "has 'fine_tune'; expected STEP=QUEUE"),
        ("fine_tune=a b", "expected STEP=QUEUE"),
        ("finetune=gpu", r"step 'finetune' \(did you mean fine_tune\?\); steps are validate_annotations"),
    ],
)
def test_a_queue_for_what_is_no_step_is_told(text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BOXWRIGHT_QUEUES", text)
    with pytest.raises(ValueError, match=said):
        queues()


def test_faults_are_retried(dag: DAG) -> None:
    for task in dag.tasks:
        assert (task.retries, task.retry_exponential_backoff > 0) == (2, True)
        assert task.retry_delay.total_seconds() <= 60


def test_the_schedule_has_intervals_and_no_surprises(dag: DAG) -> None:
    assert isinstance(dag.timetable, AssetOrTimeSchedule)
    assert isinstance(dag.timetable.timetable, CronDataIntervalTimetable)
    assert (dag.catchup, dag.is_paused_upon_creation, dag.max_active_runs) == (False, True, 16)
    assert dag.start_date.isoformat() == "2026-01-01T00:00:00+00:00"


def test_a_run_stands_for_the_week_before_it(dag: DAG) -> None:
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction

    # Through serialization, as the scheduler gets it.
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    window = TimeRestriction(earliest=dag.start_date, latest=None, catchup=True)
    first = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=window)
    assert (first.data_interval.end - first.data_interval.start).days == 7
    assert first.data_interval.start >= dag.start_date


def test_the_doc_explains_every_task(dag: DAG) -> None:
    assert dag.doc_md
    assert [name for name in dag.task_ids if f"`{name}`" not in dag.doc_md] == []


def test_a_filled_form_is_validated_and_becomes_a_config(dag: DAG) -> None:
    filled = copy.deepcopy(dag.params)
    filled.update({"training": "/data", "output": "/out", "epochs": 2})
    config = config_from_params(filled.validate())
    assert (config.training, config.hyperparameters.epochs, config.gate.min_ap50) == ("/data", 2, 0.05)
    with pytest.raises(ParamValidationError, match="0 is less than or equal to the minimum of 0"):
        filled.update({"epochs": 0})


def test_parsing_loads_nothing_heavy() -> None:
    heavy = ("tensorflow", "tfx", "keras", "keras_hub", "great_expectations", "mlflow", "matplotlib", "ml_metadata")
    own = "boxwright_airflow.operators"
    assert airflow_env.loaded_by_parsing(DAG_ID, [*heavy, own]) == [own]


def test_the_loader_finds_the_one_plugin_file() -> None:
    from airflow.sdk.plugins_manager import _get_plugins

    plugins, errors = _get_plugins()
    assert errors == {}
    assert [plugin for plugin in plugins if plugin.name == "boxwright"]
    assert "operators" not in sys.modules and "params" not in sys.modules
