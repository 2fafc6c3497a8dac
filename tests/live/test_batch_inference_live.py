"""The batch-inference DAG in a real Airflow: a bucket's prefix becomes shards and a manifest in the bucket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import finder
import pytest

from boxwright.packaging.archive import pack
from boxwright.stack.uploading import upload_dataset

if TYPE_CHECKING:
    from live.conftest import LiveStack

DAG_ID = "object_detection_batch_inference"
ROOT = "s3://boxwright/batch-inference"


@pytest.fixture(scope="module")
def prefix(stack: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("batch")
    for part in ("model", "put/photos/deep"):
        (folder / part).mkdir(parents=True)
    finder.export_finder(folder / "model")
    finder.write_facts(folder / "model")
    pack(folder / "model", folder / "put" / "model.tar.gz")
    for i in range(3):
        (folder / "put" / "photos" / f"{i}.jpg").write_bytes(finder.encoded(finder.scene()))
    (folder / "put" / "photos" / "deep" / "bad.png").write_bytes(b"no image")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.env.items():
            patch.setenv(name, value)
        upload_dataset(Path(folder / "put"), ROOT)
    return ROOT


def test_a_prefix_becomes_shards_and_a_manifest(stack: LiveStack, prefix: str) -> None:
    stack.airflow.wait_for_dag(DAG_ID)
    stack.airflow.set_paused(DAG_ID, False)
    conf = {"images": f"{prefix}/photos/", "output": f"{prefix}/out", "model": f"{prefix}/model.tar.gz"}
    stack.airflow.trigger(DAG_ID, "live-batch", conf | {"shard_images": 2})
    state, tasks = stack.finish("live-batch", DAG_ID)
    assert state == "success", tasks
    assert sorted(tasks) == ["plan_shards", "predict_shard", "write_manifest"]

    def read(name: str) -> bytes:
        key = f"batch-inference/out/live-batch/detections/{name}"
        return stack.s3.get_object(Bucket="boxwright", Key=key)["Body"].read()

    manifest = json.loads(read("manifest.json"))
    assert (manifest["images"], manifest["detections"], manifest["errors"]) == (4, 3, 1)
    assert len(manifest["shards"]) == 2
    assert [one["file_name"] for one in manifest["failed"]] == ["deep/bad.png"]
    (first, second) = [json.loads(line) for line in read(manifest["shards"][0]["file"]).splitlines()]
    assert first["file_name"] == "0.jpg" and second["detections"][0]["label"] == finder.LABELS[0]
