"""A run of the batch-inference DAG in a stack: a bucket's prefix becomes shards and a manifest in the bucket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import finder
import pytest

from boxwright.packaging.archive import pack
from boxwright.stack.uploading import upload_dataset

if TYPE_CHECKING:
    from running_stack import RunningStack

DAG_ID = "object_detection_batch_inference"
ROOT = "s3://boxwright/batch-inference"


def put_images(stack: RunningStack, folder: Path) -> None:
    """Puts a model, three pictures and a broken one into the bucket."""
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
        upload_dataset(folder / "put", ROOT)


def detect(stack: RunningStack, run_id: str) -> None:
    """Runs the DAG over the pictures, and looks at all that it has written."""
    stack.airflow.wait_for_dag(DAG_ID)
    stack.airflow.set_paused(DAG_ID, False)
    conf = {"images": f"{ROOT}/photos/", "output": f"{ROOT}/out", "model": f"{ROOT}/model.tar.gz"}
    stack.airflow.trigger(DAG_ID, run_id, conf | {"shard_images": 2})
    state, tasks = stack.finish(run_id, DAG_ID)
    assert state == "success", tasks
    assert sorted(tasks) == ["plan_shards", "predict_shard", "write_manifest"]

    def read(name: str) -> bytes:
        key = f"batch-inference/out/{run_id}/detections/{name}"
        return bytes(stack.s3.get_object(Bucket="boxwright", Key=key)["Body"].read())

    manifest = json.loads(read("manifest.json"))
    assert (manifest["images"], manifest["detections"], manifest["errors"]) == (4, 3, 1)
    assert len(manifest["shards"]) == 2
    assert [one["file_name"] for one in manifest["failed"]] == ["deep/bad.png"]
    (first, second) = [json.loads(line) for line in read(manifest["shards"][0]["file"]).splitlines()]
    assert first["file_name"] == "0.jpg" and second["detections"][0]["label"] == finder.LABELS[0]
