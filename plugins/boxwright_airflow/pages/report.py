"""The HTML reports that runs leave in storage, read with the server's own credentials."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse

from boxwright_airflow.allowed import allowed_here
from boxwright_airflow.links import XCOM_REPORT
from boxwright_airflow.pages.security import READ_XCOM

REPORT_LIMIT = 64_000_000  # bytes
Id = Annotated[str, Query(pattern=r"^[^\x00]+$")]
# The report has no script and fetches nothing; its pictures are part of it.
REPORT_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}


def router() -> APIRouter:
    """`/report`: the validation report of a task."""
    routes = APIRouter()

    @routes.get("/report", dependencies=[READ_XCOM])
    def report(dag_id: Id, run_id: Id, task_id: Id) -> HTMLResponse:
        """The validation report of a task's run, for those who may read the DAG."""
        uri = _report_uri(dag_id, run_id, task_id)
        if uri is None:
            raise HTTPException(404, f"task {task_id} of run {run_id} has no report yet; has it started?")
        return stored_report(uri)

    return routes


def stored_report(uri: str) -> HTMLResponse:
    """A report from storage, shut off from everything.

    Raises:
        HTTPException: 403 where it lies elsewhere than the administrator's list has it, 404 where it is gone, 502 where
            storage does not answer.
    """
    from boxwright.errors import BoxwrightError, NotAllowedError
    from boxwright.storage import read_bytes

    try:
        allowed_here().check_place(uri)
        return HTMLResponse(read_bytes(uri, REPORT_LIMIT), headers=REPORT_HEADERS)
    except NotAllowedError as error:
        raise HTTPException(403, str(error)) from None
    except BoxwrightError as error:
        raise HTTPException(502 if error.retryable else 404, f"{uri} cannot be read: {error}") from None


def _report_uri(dag_id: str, run_id: str, task_id: str) -> str | None:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    query = XComModel.get_many(run_id=run_id, key=XCOM_REPORT, task_ids=task_id, dag_ids=dag_id, limit=1)
    with create_session() as session:
        found = session.scalars(query).first()
        uri: Any = None if found is None else XComModel.deserialize_value(found)
    return uri if isinstance(uri, str) and uri.endswith(".html") else None
