"""Fine-tunes an object detector on a dataset, measures it, and registers it when it is good enough.

1. `validate_annotations` names every bad record of the datasets before anything else is spent on them.
2. `download_dataset` fetches the images and annotations of each split.
3. `build_examples` writes them as sharded TFRecords, with a validation split held out where none is given.
4. `choose_seed` waits until the runs over earlier intervals have ended, then takes one of three ways:
   `fetch_pretrained` (weights of the model id), `resolve_parent` (an earlier model of this kind), or `reuse_version`
   where a finished run had the same dataset, configuration and parent: then the run ends with that run's version.
5. `fine_tune` trains the detector; it needs a slot of the pool `gpu`.
6. `evaluate` measures COCO AP, AP50 and their like on the test images, per class and with pictures.
7. `export_label_map` writes which output index means which class.
8. `package_model` packs the model, its label map and its metrics as `{output}/{run_id}/output/model.tar.gz`.
9. `quality_gate` fails the run when the model detects too little.
10. `approve` asks a person, where the parameter of that name says so; a rejected model is registered as rejected.
11. `register_model` adds a version to the model registry and announces it as an event of the asset
    `object_detection_model`.

It runs weekly over data intervals, or as the Airflow Variable `boxwright_schedule` says in cron's terms, and whenever
an event of the asset `object_detection_dataset` announces data; the event's extra may name `training`, `validation`,
`test` and `annotations_file`. URIs may hold dates of the run, such as `{data_interval_end:%Y-%m-%d}`.

Every step can be killed and repeated. Steps from `evaluate` on run one after the other on purpose: ML Metadata's
SQLite file has one writer. `training` and `output` come from the trigger form, and where that is empty (scheduled
runs, backfills) from the Airflow Variables `boxwright_training_uri` and `boxwright_output_uri`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, TriggerRule, chain

from boxwright_airflow.approval import ApproveModelOperator
from boxwright_airflow.choosing import ChooseSeedOperator
from boxwright_airflow.defaults import task_defaults
from boxwright_airflow.operators import BoxwrightStepOperator
from boxwright_airflow.run_settings import run_params
from boxwright_airflow.schedule import MODEL, training_schedule

# A task in a pool that does not exist never starts: set-up creates it. LocalExecutor ignores queues.
GPU_POOL = "gpu"
GPU_QUEUE = "gpu"


def step(node_id: str, **options: object) -> BoxwrightStepOperator:
    """The task that runs the pipeline's node of the same name."""
    return BoxwrightStepOperator(task_id=node_id, node=node_id, **options)


with DAG(
    "object_detection_training",
    description="Fine-tune, measure, gate and register an object detector.",
    doc_md=__doc__,
    schedule=training_schedule(),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=True,
    max_active_runs=1,
    tags=["boxwright", "object-detection", "training"],
    params=run_params(),
    default_args=task_defaults(),
):
    choose_seed = ChooseSeedOperator(task_id="choose_seed")
    chain(step("validate_annotations"), step("download_dataset"), step("build_examples"), choose_seed)
    chain(
        choose_seed,
        [step("fetch_pretrained"), step("resolve_parent")],
        step("fine_tune", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS, pool=GPU_POOL, queue=GPU_QUEUE),
        step("evaluate"),
        step("export_label_map"),
        step("package_model"),
        step("quality_gate"),
        ApproveModelOperator(task_id="approve"),
        step("register_model", outlets=[MODEL]),
    )
    chain(choose_seed, step("reuse_version"))
