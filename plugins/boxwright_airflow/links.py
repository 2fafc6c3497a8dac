"""Links from a task in Airflow's UI to what the task has left for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class ValidationReportLink(BaseOperatorLink):
    """Opens the validation report of the run.

    Airflow asks for the link when the task has ended, well or not, and keeps the answer. A report in a bucket gets
    none: browsers cannot open `s3://`, and a presigned URL is a key to the bucket, which no XCom may hold. The URI of
    every report is in the task's log and, as `report`, in its XCom.
    """

    name = "Validation report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The report's URI where it is a file, else empty."""
        uri = str(getattr(operator, "report", None) or "")
        return Path(uri).as_uri() if uri.startswith("/") and Path(uri).is_file() else ""
