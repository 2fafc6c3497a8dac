"""Boxwright's own pages below `/boxwright` of Airflow's server, for people who may read the DAG they are about.

The functions of Airflow that check rights are not part of its public interface; they are imported here only.
"""

from __future__ import annotations

from functools import cache
from typing import Any

XCOM_REPORT = "report"
REPORT_LIMIT = 64_000_000  # bytes
# The report has no script and fetches nothing; its pictures are part of it.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI application. It is built with the first request: every Airflow process loads the plugin."""
    await _build()(scope, receive, send)


@cache
def _build() -> Any:
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import HTMLResponse

    from components.errors import BoxwrightError
    from components.storage import read_bytes

    web = FastAPI(title="Boxwright", docs_url=None, redoc_url=None, openapi_url=None)

    @web.get("/report", dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.XCOM))])
    def report(dag_id: str, run_id: str, task_id: str) -> HTMLResponse:
        """The validation report of a task's run, read with the server's own storage credentials."""
        uri = _report_uri(dag_id, run_id, task_id)
        if uri is None:
            raise HTTPException(404, f"task {task_id} of run {run_id} has told of no report; has it started?")
        try:
            page = read_bytes(uri, REPORT_LIMIT)
        except BoxwrightError as error:
            raise HTTPException(502 if error.retryable else 404, f"{uri} cannot be read: {error}") from None
        return HTMLResponse(page, headers=_HEADERS)

    return web


def _report_uri(dag_id: str, run_id: str, task_id: str) -> str | None:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    query = XComModel.get_many(run_id=run_id, key=XCOM_REPORT, task_ids=task_id, dag_ids=dag_id, limit=1)
    with create_session() as session:
        found = session.scalars(query).first()
        uri = None if found is None else XComModel.deserialize_value(found)
    return uri if isinstance(uri, str) and uri.endswith(".html") else None
