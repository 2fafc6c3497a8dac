"""The steps of batch inference as Airflow tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf

from boxwright.errors import UsageError
from boxwright_airflow.allowed import limited
from boxwright_airflow.operators import airflow_errors
from boxwright_airflow.run_settings import batch_inference_config

if TYPE_CHECKING:
    from airflow.sdk import Context

    from boxwright.config import BatchInferenceConfig


class BatchInferenceOperator(BaseOperator):
    """Runs one step of batch inference for this DAG run; repeating it is safe.

    Args:
        step: `plan` returns the numbers of the shards, `shard` writes one of them, `manifest` ends the run.
        shard: which one, from 0; for `shard` only.
        kwargs: what every operator takes.
    """

    template_fields: Sequence[str] = ("shard",)
    ui_color = "#e8eef5"

    def __init__(self, *, step: Literal["plan", "shard", "manifest"], shard: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step
        self.shard = shard

    def execute(self, context: Context) -> list[int] | dict[str, Any]:
        """Runs the step.

        Returns:
            The shards' numbers, or counts.

        Raises:
            AirflowFailException: a person has to change something first; Airflow does not try again.
            AirflowException: the same call may succeed later; Airflow's retries apply.
        """
        # A shard loads TensorFlow: no process that only parses the DAG may pay for that.
        from boxwright.serving.batch import predict_shard, write_manifest

        with airflow_errors(context), limited():
            config, run_id = batch_inference_config(context["params"]), context["dag_run"].run_id
            if self.step == "plan":
                return _plan(config, run_id)
            if self.step == "manifest":
                return write_manifest(config, run_id)
            return predict_shard(config, run_id, int(self.shard or 0))


def _plan(config: BatchInferenceConfig, run_id: str) -> list[int]:
    from boxwright.serving.batch import plan_batch

    plan = plan_batch(config, run_id)
    most = conf.getint("core", "max_map_length", fallback=1024)
    if plan.shards > most:
        raise UsageError(
            f"{len(plan.images)} images in shards of {config.shard_images} make {plan.shards} tasks, over Airflow's "
            f"limit of {most}; set shard_images to {-(-len(plan.images) // most)} or more and start a new run"
        )
    return list(range(plan.shards))
