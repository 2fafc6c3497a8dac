"""The tasks of a tuning: a study that is opened, trials that ask when they begin, and the choice; then a run's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator, Variable
from airflow.sdk.exceptions import AirflowFailException

from boxwright.pipeline import GPU_POOL, Leaves, Node, Phase, nodes_leaving, nodes_of
from boxwright.quiet import quieten
from boxwright_airflow.allowed import limited
from boxwright_airflow.approval import ApproveModelOperator
from boxwright_airflow.connection import lent_credentials
from boxwright_airflow.operators import BoxwrightStepOperator, airflow_errors, resolve_run
from boxwright_airflow.queues import queues
from boxwright_airflow.run_settings import STUDY, tuning_from_params, without_tuning
from boxwright_airflow.seed_choice import ChooseSeedOperator
from boxwright_airflow.training_tasks import OPEN_STUDY

if TYPE_CHECKING:
    from airflow.sdk import Context

    from boxwright.config import RunConfig, RunInfo, TuningConfig

CHOOSE_BEST = nodes_of(Phase.STUDY)[-1]
# Airflow's Variable of the number of trials at a time in one run; the pool's slots limit all runs together.
PARALLEL = "boxwright_tuning_parallel"
_USUAL_PARALLEL = 2


def trials_at_a_time() -> int:
    """The number of trials of one run that may be under way together.

    Raises:
        ValueError: the Variable holds no such number; Airflow shows it as the DAG's import error.
    """
    text = str(Variable.get(PARALLEL, default=None) or _USUAL_PARALLEL)
    if not re.fullmatch("[1-9][0-9]{0,3}", text):
        raise ValueError(
            f"the Airflow Variable {PARALLEL} is {text[:100]!r}; expected a whole number from 1 on, such as 2"
        )
    return int(text)


def where_trials_run() -> dict[str, Any]:
    """Pool and queue of trials: those of the step that trains."""
    return _where(nodes_leaving(Leaves.TRAINING_CURVES)[-1])


def where_proof_runs() -> dict[str, Any]:
    """Pool and queue of the step that proves what was chosen."""
    return _where(CHOOSE_BEST)


def _where(node: Node) -> dict[str, Any]:
    queue = queues().get(node.id)
    return {"pool": GPU_POOL, **({"queue": queue} if queue else {})}


def resolve_base(context: Mapping[str, Any]) -> tuple[RunConfig, RunInfo]:
    """The run that is tuned, as it is without tuning; see `resolve_run`.

    Raises:
        UsageError: it asks for several machines.
    """
    from boxwright.pipeline import refuse_several_machines

    config, run = resolve_run({**context, "params": without_tuning(context["params"])})
    refuse_several_machines(config)
    return config, run


def resolve_tuning(context: Mapping[str, Any]) -> tuple[RunConfig, RunInfo, TuningConfig, str]:
    """The run that is tuned, how, and the name of the study.

    Raises:
        UsageError: a param is unknown or invalid.
        AirflowException: see `resolve_run`.
    """
    from boxwright.packaging import run_folder

    config, run = resolve_base(context)
    name = context["params"].get(STUDY) or run_folder(run.run_id)
    return config, run, tuning_from_params(context["params"]), name


class TuningOperator(BaseOperator):
    """Runs one step of a tuning for this DAG run; repeating it is safe.

    Args:
        step: `open` returns the slots, `trial` runs one of them, `choose` proves the best of them.
        slot: which one; for `trial` only.
        kwargs: what every operator takes.
    """

    template_fields: Sequence[str] = ("slot",)
    ui_color = "#efe8f5"

    def __init__(self, *, step: Literal["open", "trial", "choose"], slot: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step, self.slot = step, slot

    def execute(self, context: Context) -> list[int] | dict[str, Any]:
        """Runs the step.

        Returns:
            The slots, the trial, or the settings that won.

        Raises:
            AirflowFailException: the trial crashed, or a person has to change something first.
            AirflowException: the same call may succeed later; Airflow's retries apply, and a trial goes on.
        """
        quieten()
        # A trial loads TensorFlow: no process that only parses the DAG may pay for that.
        from boxwright.tuning import choose_best, open_study, run_slot

        with airflow_errors(context), limited():
            config, run, tuning, name = resolve_tuning(context)
            with lent_credentials(config.storage):
                if self.step == "open":
                    return open_study(config, tuning, run, name)
                if self.step == "trial":
                    return run_slot(config, tuning, run, name, int(self.slot or 0))
                if context["ti"].xcom_pull(task_ids=OPEN_STUDY.id) is None:
                    # This task runs whatever became of those before it.
                    raise AirflowFailException(f"there is no study: {OPEN_STUDY.id} did not come to its end")
                return choose_best(config, tuning, run, name)


class BaseStepOperator(BoxwrightStepOperator):
    """Runs a node before the trials, with the settings as they are."""

    def resolve(self, context: Mapping[str, Any]) -> tuple[RunConfig, RunInfo]:
        """See `resolve_base`."""
        return resolve_base(context)


class ChooseStudySeedOperator(ChooseSeedOperator):
    """Chooses the seed of all trials; no finished run is one that a study could end with."""

    def resolve(self, context: Mapping[str, Any]) -> tuple[RunConfig, RunInfo]:
        """See `resolve_base`."""
        config, run = resolve_base(context)
        return config.model_copy(update={"force": True}), run


def resolve_tuned(context: Mapping[str, Any]) -> tuple[RunConfig, RunInfo]:
    """The run with the settings that won."""
    from boxwright.tuning import of_study, tuned

    config, run = resolve_base(context)
    chosen = context["ti"].xcom_pull(task_ids=CHOOSE_BEST.id)
    return tuned(config, chosen["chosen"]), of_study(run, chosen)


class TunedStepOperator(BoxwrightStepOperator):
    """Runs a node after the trials, with the settings that won."""

    def resolve(self, context: Mapping[str, Any]) -> tuple[RunConfig, RunInfo]:
        """See `resolve_tuned`."""
        return resolve_tuned(context)


class ApproveTunedOperator(ApproveModelOperator):
    """Asks whether to register the model of the settings that won."""

    def resolve(self, context: Mapping[str, Any]) -> tuple[RunConfig, RunInfo]:
        """See `resolve_tuned`."""
        return resolve_tuned(context)
