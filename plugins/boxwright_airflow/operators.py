"""Runs one node of the pipeline as one Airflow task, in the task's own process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperator, Variable
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from boxwright.airflow_api import VARIABLES, XCOM_EXIT_CODE
from boxwright.config import ModelReference, RunInfo
from boxwright.errors import BoxwrightError, without_secrets
from boxwright.pipeline import Leaves, find_node
from boxwright_airflow.allowed import allowed_here, limited
from boxwright_airflow.connection import lent_credentials
from boxwright_airflow.links import LINKS, XCOM_REPORT
from boxwright_airflow.run_settings import RUN_DEFAULTS, config_from_params
from boxwright_airflow.schedule import params_of_event

if TYPE_CHECKING:
    from airflow.sdk import Context

    from boxwright.config import RunConfig

# Those that stand for their data interval; all others stand for the moment when they were triggered.
INTERVAL_RUNS = ("scheduled", "backfill")


class BoxwrightStepOperator(BaseOperator):
    """Runs the pipeline's node `node` for this DAG run and returns its summary.

    The run's settings are the DAG run's params. Repeating the task is safe: the node takes up, or finds, what an
    earlier try of the same run has left.

    Args:
        node: the node's id in the pipeline.
        kwargs: what every operator takes.
    """

    template_fields: Sequence[str] = ("node",)
    ui_color = "#e8f1ee"

    def __init__(self, *, node: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.node = node
        self.report: str | None = None
        self.version: tuple[str, int] | None = None
        self.mlflow_run: str | None = None
        if link := LINKS.get(self.result):
            self.operator_extra_links = (link(),)

    @property
    def result(self) -> Leaves | None:
        """The results of the node for people.

        Raises:
            ValueError: the pipeline has no such node.
        """
        return find_node(self.node).leaves

    def execute(self, context: Context) -> dict[str, Any]:
        """Runs the node.

        Returns:
            The node's small summary, without credentials.

        Raises:
            AirflowFailException: a person has to change something first; Airflow does not try again.
            AirflowException: the same call may succeed later; Airflow's retries apply.
        """
        # Loads TFX and, for some nodes, TensorFlow: no process that only parses the DAG may pay for that.
        from boxwright.pipeline import run_node

        with airflow_errors(context):
            config, run = self.resolve(context)
            self._announce_report(config, run.run_id, context)
            try:
                with limited(), lent_credentials(config.storage):
                    summary = run_node(config, run, self.node)
            finally:
                self._find_training(config, run.run_id)
        if self.result is Leaves.VERSION:
            self.version = (summary["model_name"], summary["version"])
        shown: dict[str, Any] = json.loads(without_secrets(json.dumps(summary)))
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = _model_event(run.run_id, shown)
        return shown

    def resolve(self, context: Mapping[str, Any]) -> tuple[RunConfig, RunInfo]:
        """The settings that the node runs with, and the run; see `resolve_run`."""
        return resolve_run(context)

    def _find_training(self, config: RunConfig, run_id: str) -> None:
        """Finds the MLflow run, of a training that failed too; without MLflow there is no link, and no failure."""
        if self.result is Leaves.TRAINING_CURVES:
            from boxwright.registry import open_registry

            try:
                self.mlflow_run = open_registry(quick=True).run_page(config.model_name, run_id)
            except BoxwrightError as error:
                self.log.info("There is no link to MLflow: %s", error)

    def _announce_report(self, config: RunConfig, run_id: str, context: Context) -> None:
        """Says before the work, which may fail, where its report will be: in the log, and to the page that shows it."""
        if self.result is Leaves.VALIDATION_REPORT:
            from boxwright.dataset.report import PAGE_FILE
            from boxwright.packaging import output_uri

            self.report = output_uri(config, run_id, PAGE_FILE)
            context["ti"].xcom_push(XCOM_REPORT, self.report)
            self.log.info("The validation report will be at %s", without_secrets(self.report))


def resolve_run(context: Mapping[str, Any]) -> tuple[RunConfig, RunInfo]:
    """The run's settings, with the dates in its URIs filled in, and the run.

    Raises:
        AirflowSkipException: the clock started the run, and nobody has said on which data.
        AirflowFailException: a required param is empty.
        UsageError: a param is unknown or invalid, or a URI asks for an interval that the run does not have.
        NotAllowedError: an administrator's list lacks what they name, wherever they come from.
    """
    from boxwright.config import resolve_templates

    run = run_info(context)
    _skip_without_data(context)
    config = resolve_templates(resolve_config(context["params"], params_of_event(context["dag_run"])), run)
    allowed_here().check(config)
    return config, run


def _skip_without_data(context: Mapping[str, Any]) -> None:
    """Skips a run of the clock that has no dataset: unpausing the DAG starts one, though nobody asked for it."""
    variable = VARIABLES["training"]
    by_clock = context["dag_run"].run_type == "scheduled"
    if by_clock and not context["params"].get("training") and not Variable.get(variable, default=None):
        raise AirflowSkipException(
            f"nothing to train on: runs of the schedule take their dataset from the Airflow Variable {variable}, "
            "which is not set"
        )


def run_info(context: Mapping[str, Any]) -> RunInfo:
    """The run, with the interval that it stands for, or the moment when it was triggered.

    Airflow lends a triggered run with a logical date the last whole interval, which it does not stand for.
    """
    dag_run = context["dag_run"]
    url = _run_url(dag_run)
    if dag_run.run_type not in INTERVAL_RUNS or dag_run.data_interval_end is None:
        return RunInfo(run_id=dag_run.run_id, as_of=dag_run.run_after, url=url)
    return RunInfo(
        run_id=dag_run.run_id,
        as_of=dag_run.data_interval_end,
        interval_start=dag_run.data_interval_start,
        url=url,
    )


def _run_url(dag_run: Any) -> str | None:
    base = conf.get("api", "base_url", fallback=None)
    return f"{base.rstrip('/')}/dags/{dag_run.dag_id}/runs/{quote(dag_run.run_id, safe='')}" if base else None


def resolve_config(params: Mapping[str, Any], event: Mapping[str, Any] = MappingProxyType({})) -> RunConfig:
    """The run's settings, with what announced its data, then Airflow Variables, in place of params that are empty.

    Raises:
        AirflowFailException: a required param and its Variable are both empty.
        UsageError: a param is unknown or invalid.
    """
    values = with_event(params, event)
    for name, variable in VARIABLES.items():
        values[name] = values.get(name) or Variable.get(variable, default=None)
        if not values[name]:
            raise AirflowFailException(
                f"param {name} is empty, and so is the Airflow Variable {variable}: fill in one of them"
            )
    return config_from_params(values)


def with_event(params: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    """The params, with what announced the run's data in place of those that are empty or as they come."""
    unset = {name: (None, "", RUN_DEFAULTS.get(name)) for name in event}
    return dict(params) | {name: value for name, value in event.items() if params.get(name) in unset[name]}


def _model_event(run_id: str, registered: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a new version for those who deploy it."""
    name, version = registered["model_name"], registered["version"]
    return {
        "model_name": name,
        "version": version,
        "reference": str(ModelReference(name, version)),
        "archive": registered["archive"],
        "metrics": json.loads(registered["metrics"]),
        "run_id": run_id,
    }


@contextmanager
def airflow_errors(context: Mapping[str, Any]) -> Iterator[None]:
    """Turns Boxwright's errors into Airflow's, so that only what may heal is tried again.

    The exit code of the error is kept beside the task, for a command line that waits for the run.
    """
    try:
        yield
    except BoxwrightError as error:
        context["ti"].xcom_push(XCOM_EXIT_CODE, error.exit_code)
        kind = AirflowException if error.retryable else AirflowFailException
        raise kind(str(error)) from None
