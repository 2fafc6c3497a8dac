"""The routes of a run's page: the page, the part of it that changes, and the reports of evaluation and study."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from boxwright.evaluation import REPORT_PAGE
from boxwright.pipeline import Leaves
from boxwright.storage import join
from boxwright.tuning.report import REPORT_PAGE as STUDY_PAGE
from boxwright_airflow.pages.render import page
from boxwright_airflow.pages.report import stored_report
from boxwright_airflow.pages.security import READ_LOGS, READ_RUN, READ_XCOM, MayChangeRun, MayStart
from boxwright_airflow.runs.tasks import Run, read_run
from boxwright_airflow.runs.view import page_values
from boxwright_airflow.training_tasks import in_order

# The page has what tasks returned, and a line of a failed one's log.
GUARDS = [READ_RUN, READ_XCOM, READ_LOGS]


def router() -> APIRouter:
    """`/runs/{dag_id}/{run_id}` and below."""
    routes = APIRouter(prefix="/runs/{dag_id}/{run_id}", dependencies=GUARDS)

    @routes.get("")
    def whole(request: Request, allowed: MayChangeRun, may_start: MayStart, dag_id: str, run_id: str) -> HTMLResponse:
        """The page."""
        values = page_values(find_run(dag_id, run_id))
        return page(request, "run.html", allowed=allowed, may_start=may_start, **values)

    @routes.get("/live")
    def live(request: Request, allowed: MayChangeRun, dag_id: str, run_id: str) -> HTMLResponse:
        """The parts of the page that change while the run goes on."""
        return page(request, "run_parts.html", allowed=allowed, **page_values(find_run(dag_id, run_id)))

    @routes.get("/evaluation")
    def evaluation(dag_id: str, run_id: str) -> HTMLResponse:
        """The report of the run's evaluation."""
        run = find_run(dag_id, run_id)
        task = run.task_leaving(Leaves.EVALUATION_REPORT)
        if run.output is None or task is None or task.state != "success":
            raise HTTPException(404, f"run {run_id} has no evaluation yet; its report comes when that step has ended")
        return stored_report(join(run.output, REPORT_PAGE))

    @routes.get("/study")
    def study(dag_id: str, run_id: str) -> HTMLResponse:
        """The report of the run's study, as far as it has come."""
        run = find_run(dag_id, run_id)
        if run.output is None or not run.trials:
            raise HTTPException(404, f"run {run_id} has no study yet; its report comes when that is opened")
        return stored_report(join(run.output, STUDY_PAGE))

    return routes


def find_run(dag_id: str, run_id: str) -> Run:
    """The run of an address.

    Raises:
        HTTPException: 404, there is none.
    """
    run = read_run(dag_id, run_id, [task.id for task in in_order(dag_id)])
    if run is None:
        raise HTTPException(404, f"DAG {dag_id} has no run {run_id}; it may have been deleted")
    return run
