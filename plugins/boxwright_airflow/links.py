"""Links from a task in Airflow's UI to what the task has left for people."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

URL_PREFIX = "/boxwright"
XCOM_REPORT = "report"


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
        return f"{conf.get('api', 'base_url').rstrip('/')}{URL_PREFIX}/report?{urlencode(place)}"
