"""A person's word before a model is registered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

from boxwright_airflow.operators import airflow_errors, resolve_run

if TYPE_CHECKING:
    from airflow.sdk import Context

    from boxwright.config import RunConfig, RunInfo


class ApproveModelOperator(ApprovalOperator):
    """Asks whether to register the model, where the run's parameter `approve` says so, and else lets it pass.

    The question shows the candidate's metrics beside the champion's. Silence until `approve_within_hours` is a
    rejection. A rejected model is registered as such, to be looked at: it is nobody's champion or parent, and the
    task that registers and announces accepted models is skipped.
    """

    ui_color = "#e8f1ee"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Register this model?", defaults=self.REJECT, **kwargs)

    def resolve(self, context: Mapping[str, Any]) -> tuple[RunConfig, RunInfo]:
        """The settings of the run, and the run; see `resolve_run`."""
        return resolve_run(context)

    def execute(self, context: Context) -> Any:
        """Puts the question, or passes."""
        from boxwright.pipeline import Leaves, nodes_leaving, output_folder
        from boxwright.registry import question

        with airflow_errors(context):
            config, run = self.resolve(context)
            if not config.approve:
                self.log.info("approve is False: nobody is asked")
                return None
            self.subject = f"Register the {config.model_name} of {run.run_id}?"
            measured = nodes_leaving(Leaves.EVALUATION_REPORT)[-1]
            self.body = question(config, run, output_folder(run, measured.id))
        self.response_timeout = timedelta(hours=config.approve_within_hours)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Goes on with the answer."""
        if self.REJECT in event.get("chosen_options", ()):
            from boxwright.pipeline import NODES, run_node

            user = event.get("responded_by_user")
            who = f"by {user['name']}" if user else "because nobody answered in time"
            self.log.info("rejected %s", who)
            with airflow_errors(context):
                config, run = self.resolve(context)
                registering = next(node for node in NODES if node.registers)
                run_node(config, run.model_copy(update={"rejected": who}), registering.id)
        return super().execute_complete(context, event)
