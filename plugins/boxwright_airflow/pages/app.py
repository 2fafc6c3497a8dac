"""The application behind the pages, and where Airflow's UI shows them.

A part of the pages is a module with `router() -> APIRouter`; adding one is a line in `ROUTERS`. What it needs beyond
the standard library is imported when the application is built: every Airflow process loads the plugin.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from boxwright_airflow.links import FRAME, address

ROUTERS = (
    "boxwright_airflow.pages.assets",
    "boxwright_airflow.pages.models",
    "boxwright_airflow.pages.promotion",
    "boxwright_airflow.pages.compare",
    "boxwright_airflow.pages.datasets",
    "boxwright_airflow.pages.upload",
    "boxwright_airflow.pages.version",
    "boxwright_airflow.pages.report",
    "boxwright_airflow.runs.page",
    "boxwright_airflow.runs.stopping",
    "boxwright_airflow.runs.again",
    "boxwright_airflow.browsing.page",
    "boxwright_airflow.trial.page",
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI application, built with the first request."""
    await build()(scope, receive, send)


@cache
def build() -> Any:
    """The FastAPI application with all routers."""
    from fastapi import Depends, FastAPI

    from boxwright_airflow.pages.render import answer_errors
    from boxwright_airflow.pages.security import check_address

    checks = [Depends(check_address)]
    web = FastAPI(title="Boxwright", docs_url=None, redoc_url=None, openapi_url=None, dependencies=checks)
    for module in ROUTERS:
        web.include_router(import_module(module).router())
    answer_errors(web)
    return web


def views() -> list[dict[str, Any]]:
    """The pages that Airflow's UI shows in a frame, as an AirflowPlugin's `external_views`."""
    return [
        {
            "name": "Models",
            "href": address("/models"),
            "destination": "nav",
            "url_route": FRAME.rpartition("/")[2],
            "nav_top_level": True,
            "icon": address("/static/models-light.svg"),
            "icon_dark_mode": address("/static/models-dark.svg"),
        },
        {
            "name": "Boxwright",
            "href": address("/runs/{DAG_ID}/{RUN_ID}"),
            "destination": "dag_run",
            "url_route": "boxwright-run",
            "icon": address("/static/models-light.svg"),
            "icon_dark_mode": address("/static/models-dark.svg"),
        },
    ]
