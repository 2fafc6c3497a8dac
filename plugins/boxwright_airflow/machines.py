"""The tasks of a training on several machines, beside the one that runs the step: those that train along with it.

The first machine is the task of the step itself. When it has its slot, `CallMachinesOperator` lists the others, and
each of them is a mapped `TrainAlongOperator`. Whoever waits for the first machine holds no slot meanwhile; that one
waits for the others in its own, and for a bounded time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.bases.sensor import PokeReturnValue
from airflow.sdk.exceptions import AirflowFailException

from boxwright.pipeline import Leaves, nodes_leaving
from boxwright_airflow.allowed import limited
from boxwright_airflow.connection import lent_credentials
from boxwright_airflow.operators import airflow_errors, resolve_run

if TYPE_CHECKING:
    from airflow.sdk import Context

# The step that trains.
TRAINING = nodes_leaving(Leaves.TRAINING_CURVES)[-1].id
_OVER_WITHOUT = ("failed", "upstream_failed", "skipped", "removed")
# Seconds between two looks, each of which starts a process.
_PATIENCE = 15.0
# The step of the training ends sooner, and with it these.
_LONGEST = timedelta(days=365)


class _BesideTraining(BaseSensorOperator):
    """A task that ends when the step of the training does, and holds no slot while it waits for that one."""

    ui_color = "#e8f1ee"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"mode": "reschedule", "poke_interval": _PATIENCE, "timeout": _LONGEST} | kwargs))

    def training_state(self, context: Mapping[str, Any]) -> str | None:
        """Airflow's name for the state of the step of the training.

        Raises:
            AirflowFailException: that one has ended for good, without a model.
        """
        dag_run = context["dag_run"]
        found = context["ti"].get_task_states(dag_id=dag_run.dag_id, task_ids=[TRAINING], run_ids=[dag_run.run_id])
        state = found.get(dag_run.run_id, {}).get(TRAINING)
        if state in _OVER_WITHOUT:
            raise AirflowFailException(f"{TRAINING} is {state}: its log says why; clear it and {self.task_id} together")
        return None if state is None else str(state)


class CallMachinesOperator(_BesideTraining):
    """Lists the other machines of a training, by rank, when the first one has its slot."""

    def poke(self, context: Context) -> PokeReturnValue:
        """Whether the first machine is at work, and then the ranks of the others."""
        if self.training_state(context) not in ("running", "success"):
            return PokeReturnValue(is_done=False)
        with airflow_errors(context):
            config, _ = resolve_run(context)
        return PokeReturnValue(is_done=True, xcom_value=list(range(1, config.training_machines)))


class TrainAlongOperator(_BesideTraining):
    """Trains with the first machine, as another one, until the training is done.

    When a machine is lost, it waits for the call of the next generation; what fails here by itself is tried again as
    any task is.

    Args:
        rank: of this machine, from 1 on.
        kwargs: what every sensor takes.
    """

    template_fields: Sequence[str] = ("rank",)

    def __init__(self, *, rank: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rank = rank

    def poke(self, context: Context) -> bool:
        """Trains, if the first machine calls; whether the training has come to its end."""
        # Loads TensorFlow: no process that only parses the DAG may pay for that.
        from boxwright.pipeline import train_beside
        from boxwright.training import LostMachineError

        if self.training_state(context) == "success":
            return True
        with airflow_errors(context):
            config, run = resolve_run(context)
            try:
                with limited(), lent_credentials(config.storage):
                    return train_beside(config, run, int(self.rank))
            except LostMachineError as error:
                self.log.warning("%s", error)
                return False
