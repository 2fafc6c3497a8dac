"""The branch after the examples, which waits for its turn: a run over an interval chooses when the earlier ones have.

What a run may start from is the newest version as of its interval's start. That is settled only when every run over
an earlier interval has ended, or has registered its version. Whatever order the scheduler picks, a run that passes
here therefore finds what it would have found had the intervals run one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, BranchMixIn
from airflow.sdk.bases.sensor import PokeReturnValue
from airflow.sdk.exceptions import AirflowFailException

from boxwright.pipeline import Phase, nodes_of
from boxwright_airflow.allowed import limited
from boxwright_airflow.connection import lent_credentials
from boxwright_airflow.operators import INTERVAL_RUNS, airflow_errors, resolve_run
from boxwright_airflow.training_tasks import CALL_MACHINES

if TYPE_CHECKING:
    from airflow.sdk import Context

    from boxwright.config import RunConfig, RunInfo

# Pokes that a queued earlier run gets to be started in: one that was just cleared is queued for a moment.
PATIENCE = 2


class ChooseSeedOperator(BaseSensorOperator, BranchMixIn):
    """Branches to the node that fetches the run's seed, or to the one that reuses a version, when its turn has come.

    It waits without a worker while a run over an earlier interval is running, and fails when one is queued that cannot
    start before this one ends: both are runs of a backfill (or both of the schedule), which has no slot left for it.
    """

    inherits_from_skipmixin = True
    ui_color = "#e8f1ee"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"mode": "reschedule", "poke_interval": 15.0} | kwargs))

    def resolve(self, context: Mapping[str, Any]) -> tuple[RunConfig, RunInfo]:
        """The settings of the run, and the run; see `resolve_run`."""
        return resolve_run(context)

    def execute(self, context: Context) -> Any:
        """Waits, then skips the branches that were not chosen."""
        chosen = super().execute(context)
        return self.do_branch(context, chosen)

    def poke(self, context: Context) -> PokeReturnValue:
        """Whether the run's turn has come, and then the task to go on with, or tasks where several machines train.

        Raises:
            AirflowFailException: an earlier interval waits behind this run, or a person has to change something.
            AirflowException: the same call may succeed later.
        """
        from boxwright.pipeline import choose_seed

        with airflow_errors(context):
            config, run = self.resolve(context)
            waiting_for = self._unsettled(context, config)
            if waiting_for:
                self.log.info("waiting for earlier intervals: %s", ", ".join(waiting_for))
                return PokeReturnValue(is_done=False)
            with limited(), lent_credentials(config.storage):
                chosen = choose_seed(config, run)
        if config.training_machines == 1:
            return PokeReturnValue(is_done=True, xcom_value=chosen)
        reuses = chosen in [node.id for node in nodes_of(Phase.REUSE)]
        return PokeReturnValue(is_done=True, xcom_value=[chosen] if reuses else [chosen, CALL_MACHINES.id])

    def _unsettled(self, context: Context, config: RunConfig) -> list[str]:
        """Runs over earlier intervals that have not ended and have no version yet.

        Raises:
            AirflowFailException: one of them cannot start before this run ends.
        """
        dag_run = context["dag_run"]
        earlier = list(_unfinished(dag_run))
        if earlier:
            registered = _registered_runs(config.model_name)
            earlier = [one for one in earlier if one.run_id not in registered]
        stuck = [one.run_id for one in earlier if one.state == "queued" and one.run_type == dag_run.run_type]
        if stuck and context.get("task_reschedule_count", 0) >= PATIENCE:
            raise AirflowFailException(_refusal(dag_run.run_id, stuck))
        return [one.run_id for one in earlier]


def _refusal(run_id: str, stuck: Sequence[str]) -> str:
    return (
        f"{run_id} came before {', '.join(stuck)}, which stands for an earlier interval and is queued behind it: "
        "its model would start from the wrong parent. Intervals have to run in their order: backfill without "
        "'run backwards', and clear this run (or backfill again with reprocess behaviour 'failed') when the earlier "
        "ones have ended"
    )


def _registered_runs(model_name: str) -> set[str]:
    from boxwright.registry import open_registry

    return {version.run_id for version in open_registry().versions(model_name)}


def _unfinished(dag_run: Any) -> Iterator[Any]:
    """Runs of the DAG that are queued or running and whose interval ended before this one's began."""
    if dag_run.run_type not in INTERVAL_RUNS or dag_run.data_interval_start is None:
        return
    for state in ("running", "queued"):
        before = dag_run.logical_date
        while (found := _previous(dag_run.dag_id, before, state)) is not None:
            before = found.logical_date
            if found.run_type in INTERVAL_RUNS and found.data_interval_end <= dag_run.data_interval_start:
                yield found


def _previous(dag_id: str, before: Any, state: str) -> Any:
    """The newest run of a state and of an earlier logical date.

    `ti.get_previous_dagrun` asks the same, and only for the run's own date; what it is made of is not part of
    Airflow's public interface and is imported here only.
    """
    from airflow.sdk.execution_time.comms import GetPreviousDagRun
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    return SUPERVISOR_COMMS.send(GetPreviousDagRun(dag_id=dag_id, logical_date=before, state=state)).dag_run
