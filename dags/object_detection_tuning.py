"""Finds hyperparameters that are better than those there are, proves it, and registers the model of what won.

The dataset is validated, downloaded and built into examples once. `open_study` opens the study that the param `study`
names, or the run's own, and gives as many slots as there are trials. A `trial` asks for settings when it begins, trains
with them, and tells the study; where it is killed, the next try goes on under the same number from the same checkpoint.
The Airflow Variable `boxwright_tuning_parallel` says how many of a run are under way together (2), and the pool `gpu`
how many of all. `choose_best` accounts for every trial, trains the best two and the defaults again with fresh seeds,
and compares them on the test images; where no gain is shown, the defaults win. What follows is a training's.

A task `trial` that fails is a trial that crashed, with its reason; the others go on. A run that is started with the
name of a study that is there goes on with it.

The tab "Boxwright" of a run shows the report of its study as far as it has come. There the study can be stopped: those
under way come to their end, and the best is chosen.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, TriggerRule, chain

from boxwright_airflow.defaults import task_defaults
from boxwright_airflow.run_settings import tuning_params
from boxwright_airflow.training_tasks import APPROVE, CHOOSE_SEED, OPEN_STUDY, TRIAL, TUNING, Phase, tasks_of
from boxwright_airflow.tuning import (
    CHOOSE_BEST,
    ApproveTunedOperator,
    BaseStepOperator,
    ChooseStudySeedOperator,
    TunedStepOperator,
    TuningOperator,
    trials_at_a_time,
    where_proof_runs,
    where_trials_run,
)

with DAG(
    TUNING,
    description="Tune, prove the gain, measure, gate and register an object detector.",
    doc_md=__doc__,
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    is_paused_upon_creation=True,
    tags=["boxwright", "object-detection", "tuning"],
    default_args=task_defaults(),
) as dag:
    study = TuningOperator(task_id=OPEN_STUDY.id, step="open", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    trials = TuningOperator.partial(
        task_id=TRIAL.id, step="trial", max_active_tis_per_dagrun=trials_at_a_time(), **where_trials_run()
    ).expand(slot=study.output)
    best = TuningOperator(
        task_id=CHOOSE_BEST.id, step="choose", trigger_rule=TriggerRule.ALL_DONE, **where_proof_runs()
    )
    chain(
        *tasks_of(Phase.DATA, BaseStepOperator),
        ChooseStudySeedOperator(task_id=CHOOSE_SEED.id),
        tasks_of(Phase.SEED, BaseStepOperator),
        study,
        trials,
        best,
        *tasks_of(Phase.MODEL, TunedStepOperator),
        ApproveTunedOperator(task_id=APPROVE.id),
        *tasks_of(Phase.RELEASE, TunedStepOperator),
    )
# Not before: Airflow gives each task a copy of those that are there, and checks all of them when it parses this file.
dag.params = tuning_params()
