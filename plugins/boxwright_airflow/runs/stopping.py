"""Stopping a training or a study from its run's page: asked for once more on a page of its own, as every change is."""

from __future__ import annotations

import logging
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from boxwright.errors import UsageError
from boxwright_airflow.pages.render import page
from boxwright_airflow.pages.security import CHANGE_RUN, READ_RUN, SAME_ORIGIN, TOKEN_FIELD, csrf_token, user_name
from boxwright_airflow.runs.page import find_run
from boxwright_airflow.runs.training import ask_to_stop, progress_of

log = logging.getLogger("boxwright.pages")


def router() -> APIRouter:
    """`/runs/{dag_id}/{run_id}/stop`: GET asks, POST does."""
    routes = APIRouter(prefix="/runs/{dag_id}/{run_id}/stop", dependencies=[READ_RUN, CHANGE_RUN])

    @routes.get("")
    def ask(request: Request, token: Annotated[str, Depends(csrf_token)], dag_id: str, run_id: str) -> HTMLResponse:
        """A page that says what a stop does."""
        run = find_run(dag_id, run_id)
        return page(request, "stop.html", run=run, study=progress_of(run).study, token=token, field=TOKEN_FIELD)

    @routes.post("", dependencies=[SAME_ORIGIN])
    def stop(request: Request, user: Annotated[str, Depends(user_name)], dag_id: str, run_id: str) -> RedirectResponse:
        """Asks the training to end after the epoch that is under way, or the study to begin no more trials."""
        try:
            ask_to_stop(find_run(dag_id, run_id))
        except UsageError as error:
            raise HTTPException(409, str(error)) from None
        log.info("%s asked run %s to stop", user, run_id)
        # See other: loading the page again must not repeat the change.
        here = f"/runs/{quote(dag_id, safe='')}/{quote(run_id, safe='')}"
        return RedirectResponse(request.scope.get("root_path", "") + here, 303)

    return routes
