"""Looks at every image below a prefix with a registered detector, and writes what it sees as JSON Lines.

1. `plan_shards` settles which version of the model and which images this run is about, as `plan.json`.
2. `predict_shard`, once for each shard, writes `detections-00000-of-00004.jsonl`: one image a line, with its
   detections as COCO results.
3. `write_manifest` counts them and writes `manifest.json`. Where that is, all the rest is.

All of it lies at `{output}/{run_id}/detections/`. Every step can be killed and repeated: a shard that is there is not
done again, and images that arrive during a run belong to the next one. Images that cannot be read are named in the
manifest and do not stop the others.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from boxwright_airflow.batch_inference import BatchInferenceOperator
from boxwright_airflow.defaults import task_defaults
from boxwright_airflow.run_settings import batch_inference_params

with DAG(
    "object_detection_batch_inference",
    description="Detect objects on every image below a prefix.",
    doc_md=__doc__,
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    is_paused_upon_creation=True,
    tags=["boxwright", "object-detection", "inference"],
    params=batch_inference_params(),
    default_args=task_defaults(),
):
    plan = BatchInferenceOperator(task_id="plan_shards", step="plan")
    # Each holds a model in memory.
    shards = BatchInferenceOperator.partial(task_id="predict_shard", step="shard", max_active_tis_per_dagrun=4).expand(
        shard=plan.output
    )
    shards >> BatchInferenceOperator(task_id="write_manifest", step="manifest")
