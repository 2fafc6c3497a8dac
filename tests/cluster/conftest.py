"""A stack that stands for several machines: PostgreSQL, Redis, S3, MLflow, Airflow with two of Celery's workers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from running_stack import RunningStack, give_time

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.config.settings import Settings
from boxwright.dataset.sample.generate import generate_sample
from boxwright.errors import UsageError
from boxwright.stack import manager
from boxwright.stack.cluster import WORKERS, require_programs, worker_home
from boxwright.stack.environment import BUCKET, added_environment
from boxwright.stack.processes import ProcessTable, kill
from boxwright.stack.uploading import upload_dataset

# Seconds until what is awaited is late, on a machine that does much else, and for a test.
SECONDS, TEST_SECONDS = 1200, 2400
DATASET = f"s3://{BUCKET}/datasets/cluster"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    give_time(items, Path(__file__).parent, TEST_SECONDS)


class Cluster(RunningStack):
    """A cluster that runs."""

    step_seconds = run_seconds = SECONDS

    def trigger(self, run_id: str, **conf: Any) -> None:
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
        self.airflow.trigger(DAG_ID, run_id, settings | conf)

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

    def home(self, worker: str) -> Path:
        return worker_home(self.stack.home, worker)

    def workers_that_train(self) -> list[str]:
        """The workers among whose processes is one with TensorFlow."""
        table = ProcessTable(self.stack.folder)
        leaders = {name: table.find(name) for name in WORKERS}
        return [
            name
            for name, leader in leaders.items()
            if leader is not None and any(map(_has_tensorflow, leader.children(recursive=True)))
        ]

    def losses(self, run_id: str) -> list[float]:
        """The loss of each epoch of a training that is done."""
        uri = self.airflow.result(DAG_ID, run_id, "fine_tune")["uri"]
        key = f"{uri.removeprefix(f's3://{BUCKET}/')}/history.json"
        answer = self.s3.get_object(Bucket=BUCKET, Key=key)
        return [record["loss"] for record in json.loads(answer["Body"].read())]

    def lose(self, worker: str) -> None:
        """What happens to a machine that is gone: all of a worker's processes, and its disk."""
        leader = ProcessTable(self.stack.folder).find(worker)
        assert leader
        for process in (leader, *leader.children(recursive=True)):
            kill(process)
        shutil.rmtree(self.home(worker))


def _has_tensorflow(process: psutil.Process) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        return "libtensorflow" in Path(f"/proc/{process.pid}/maps").read_text()
    return False


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With a dataset in its bucket and the training DAG switched on."""
    try:
        require_programs()
    except UsageError as error:
        pytest.skip(str(error))
    settings = Settings(home=tmp_path_factory.mktemp("cluster").resolve())
    running, _ = manager.up(settings, free_ports=True, several=True)
    made = Cluster(running, added_environment(running), manager.client_of(running))
    try:
        folder = tmp_path_factory.mktemp("data") / "sample"
        generate_sample(folder, images=24, seed=4)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in made.env.items():
                patch.setenv(name, value)
            upload_dataset(folder, DATASET)
        made.airflow.wait_for_dag(DAG_ID)
        made.airflow.set_paused(DAG_ID, False)
        (scheduled,) = made.wait_for(lambda: list(made.airflow.runs(DAG_ID)), "the run of the schedule")
        assert set(made.succeed(scheduled).values()) == {"skipped"}
        yield made
    finally:
        manager.down(settings)
        assert not [one for one in psutil.process_iter(["cmdline"]) if str(settings.home) in str(one.info["cmdline"])]


@pytest.fixture
def environment(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a shell of the cluster's."""
    os.environ.pop("BOXWRIGHT_CHECKPOINT_URI", None)
    for name, value in cluster.env.items():
        monkeypatch.setenv(name, value)
