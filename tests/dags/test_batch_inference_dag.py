"""The batch-inference DAG as Airflow's processor sees it, and run from end to end on a real prefix."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import airflow_env
import finder
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

from boxwright.config import BatchInferenceConfig
from boxwright_airflow.batch_inference import BatchInferenceOperator
from boxwright_airflow.run_settings import batch_inference_config

DAG_ID = "object_detection_batch_inference"


@pytest.fixture(scope="module")
def dag() -> DAG:
    bag = DagBag(dag_folder=str(airflow_env.DAGS))
    assert bag.import_errors == {}
    return bag.dags[DAG_ID]


def test_the_graph(dag: DAG) -> None:
    edges = {(task.task_id, below) for task in dag.tasks for below in task.downstream_task_ids}
    assert edges == {("plan_shards", "predict_shard"), ("predict_shard", "write_manifest")}
    assert dag.get_task("predict_shard").is_mapped
    assert (dag.is_paused_upon_creation, dag.timetable.can_be_scheduled) == (True, False)
    assert [name for name in dag.task_ids if f"`{name}`" not in str(dag.doc_md)] == []


def test_the_form_is_the_config(dag: DAG) -> None:
    assert set(dag.params) == set(BatchInferenceConfig.model_fields)
    filled = copy.deepcopy(dag.params)
    filled.update({"images": "s3://b/photos", "output": "/out", "threshold": 0.4, "shard_images": 10})
    config = batch_inference_config(filled.validate())
    assert (config.images, config.threshold, config.shard_images) == ("s3://b/photos", 0.4, 10)
    assert config.model == "models:/detector@champion"
    for name, value in (("threshold", 1.5), ("shard_images", 0)):
        with pytest.raises(ParamValidationError):
            wrong = copy.deepcopy(dag.params)
            wrong.update({name: value})
            wrong.validate()


class Run:
    run_id = "manual__2026-01-05T03:00:00+00:00"


class Task:
    def xcom_push(self, key: str, value: object) -> None:
        pass


def execute(step: str, params: dict[str, object], shard: int | None = None) -> object:
    task = BatchInferenceOperator(task_id=step, step=step, shard=shard)  # type: ignore[arg-type]
    return task.execute({"params": params, "dag_run": Run(), "ti": Task()})  # type: ignore[arg-type]


def test_a_prefix_goes_through_all_steps(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    finder.export_finder(tmp_path / "model")
    finder.write_facts(tmp_path / "model")
    (tmp_path / "photos").mkdir()
    for i in range(5):
        (tmp_path / "photos" / f"{i}.png").write_bytes(finder.encoded(finder.scene(200 + i), "PNG"))
    params: dict[str, object] = {
        "images": str(tmp_path / "photos"),
        "output": str(tmp_path / "out"),
        "model": str(tmp_path / "model"),
        "threshold": None,
        "shard_images": 2,
    }
    shards = execute("plan", params)
    assert shards == [0, 1, 2]
    for shard in (2, 0, 1):
        execute("shard", params, shard)
    told = execute("manifest", params)
    assert isinstance(told, dict) and (told["images"], told["detections"]) == (5, 5)
    assert json.loads(Path(told["manifest"]).read_text())["model"] == str(tmp_path / "model")


def test_a_users_mistake_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match="images is required"):
        execute("plan", {"images": "", "output": str(tmp_path)})
    with pytest.raises(AirflowFailException, match="has no image"):
        execute("plan", {"images": str(tmp_path), "output": str(tmp_path), "model": str(tmp_path)})


def test_too_many_shards_are_told_with_what_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(1025):
        (tmp_path / f"{i}.png").touch()
    params = {"images": str(tmp_path), "output": str(tmp_path / "out"), "model": str(tmp_path), "shard_images": 1}
    with pytest.raises(AirflowFailException, match="set shard_images to 2 or more"):
        execute("plan", params)


def test_parsing_loads_nothing_heavy() -> None:
    heavy = ("tensorflow", "mlflow", "PIL", "matplotlib", "boxwright.serving.engine.predictor")
    own = "boxwright_airflow.operators"
    assert airflow_env.loaded_by_parsing(DAG_ID, [*heavy, own]) == [own]
