"""Links from a task in Airflow's UI to what the task has left for people."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

from boxwright.pipeline import Leaves

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

URL_PREFIX = "/boxwright"
XCOM_REPORT = "report"
# Where Airflow's UI frames the pages; a page's own path comes after it.
FRAME = "/plugin/models"


def base_url() -> str:
    """Airflow's own address."""
    return str(conf.get("api", "base_url", fallback="")).rstrip("/")


def airflow_page(path: str) -> str:
    """The path of what Airflow itself has, with the path that Airflow lies at."""
    return f"{urlsplit(base_url()).path.rstrip('/')}{path}"


def address(path: str) -> str:
    """The path of a page on Airflow's server, with the path that Airflow itself lies at."""
    return airflow_page(f"{URL_PREFIX}{path}")


class ValidationReportLink(BaseOperatorLink):
    """Opens the validation report of the run, through Airflow's own server and for those who may read the DAG.

    The report may lie in a bucket, which browsers cannot open, and a presigned URL is a key that no XCom may hold.
    Airflow asks for the link when the task has ended, well or not, and keeps the answer.
    """

    name = "Validation report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The page's address, empty before the task has told where its report will be."""
        if not getattr(operator, "report", None):
            return ""
        place = {"dag_id": ti_key.dag_id, "run_id": ti_key.run_id, "task_id": ti_key.task_id}
        return f"{base_url()}{URL_PREFIX}/report?{urlencode(place)}"


class VersionLink(BaseOperatorLink):
    """Opens the page of the version that the task registered, or found, in Airflow's frame."""

    name = "Model version"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The page's address, empty before there is a version."""
        version = getattr(operator, "version", None)
        if not version:
            return ""
        name, number = version
        return f"{base_url()}{FRAME}" + address(f"/models/{quote(name, safe='')}/{number}")


class TrainingLink(BaseOperatorLink):
    """Opens the run's curves in MLflow."""

    name = "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address of the MLflow run, empty where there is none or MLflow is a file without a server."""
        return getattr(operator, "mlflow_run", None) or ""


# The link of a task, by what its node leaves.
LINKS: dict[Leaves | None, type[BaseOperatorLink]] = {
    Leaves.VALIDATION_REPORT: ValidationReportLink,
    Leaves.TRAINING_CURVES: TrainingLink,
    Leaves.VERSION: VersionLink,
}
