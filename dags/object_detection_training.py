"""Fine-tunes an object detector on a dataset, measures it, and registers it when it is good enough.

It runs weekly over data intervals, or as the Airflow Variable `boxwright_schedule` says in cron's terms, and whenever
an event of the asset `object_detection_dataset` announces data; the event's extra may name `training`, `validation`,
`test` and `annotations_file`. URIs may hold dates of the run, such as `{data_interval_end:%Y-%m-%d}`.

The tab "Boxwright" of a run shows what it does. From there it can be started again with the same settings, each of
which can be changed, its training can be stopped after an epoch, and a run that failed goes on from the step that did.

Every step can be killed and repeated. Workers that listen to the queues `data` and `gpu` do the steps that move data
and those that use an accelerator; the Airflow Variable `boxwright_queues` moves steps to others. `training` and
`output` come from the trigger form, and where that is empty (scheduled runs, backfills) from the Airflow Variables
`boxwright_training_uri` and `boxwright_output_uri`. A run of the schedule without a dataset is skipped.

With `training_machines` above 1, `fine_tune` trains together with as many less one of `train_along`.

The tasks in their order; `choose_seed` decides which of those after it run:
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, chain

from boxwright_airflow.approval import ApproveModelOperator
from boxwright_airflow.defaults import task_defaults
from boxwright_airflow.run_settings import run_params
from boxwright_airflow.schedule import training_schedule
from boxwright_airflow.seed_choice import ChooseSeedOperator
from boxwright_airflow.training_tasks import (
    APPROVE,
    CHOOSE_SEED,
    PIPELINE,
    Phase,
    described,
    other_machines,
    tasks_of,
)

with DAG(
    PIPELINE,
    description="Fine-tune, measure, gate and register an object detector.",
    doc_md=f"{__doc__}\n{described()}\n",
    schedule=training_schedule(),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=True,
    # The pool decides how many of them train.
    max_active_runs=16,
    tags=["boxwright", "object-detection", "training"],
    default_args=task_defaults(),
) as dag:
    choose_seed = ChooseSeedOperator(task_id=CHOOSE_SEED.id)
    chain(
        *tasks_of(Phase.DATA),
        choose_seed,
        tasks_of(Phase.SEED),
        *tasks_of(Phase.MODEL),
        ApproveModelOperator(task_id=APPROVE.id),
        *tasks_of(Phase.RELEASE),
    )
    chain(choose_seed, *tasks_of(Phase.REUSE))
    chain(choose_seed, other_machines())
# Not before: Airflow gives each task a copy of those that are there, and checks all of them when it parses this file.
dag.params = run_params()
