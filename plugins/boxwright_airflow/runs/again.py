"""Starting a run again: a form filled with what another run was started with, to be changed and sent to Airflow.

Airflow's own "Trigger again with this config" knows what was typed: not the data that an event announced, and not the
dates that a URI stood for in a backfill.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from boxwright.airflow_api import DAG_ID, VARIABLES
from boxwright.config import RunInfo, resolve_templates
from boxwright.errors import UsageError
from boxwright_airflow.links import airflow_page
from boxwright_airflow.pages.render import page
from boxwright_airflow.pages.security import READ_RUN, START
from boxwright_airflow.run_settings import config_from_params, run_params


@dataclass(frozen=True)
class Started:
    """The settings that a run was started with.

    Attributes:
        settings: by name; those that were not given are not there.
        is_paused: whether the DAG is, so that no run of it starts.
    """

    settings: Mapping[str, Any]
    is_paused: bool


@dataclass(frozen=True)
class Field:
    """One setting in the form.

    Attributes:
        kind: the first JSON type that it takes.
        choices: what it may be, where that is a list.
        value: as text, empty where it is not set.
        default: as text, what it is unless somebody says otherwise.
        is_given: whether the run was started with it.
    """

    name: str
    title: str
    help: str
    kind: str
    choices: tuple[str, ...]
    value: str
    default: str
    is_given: bool


def router() -> APIRouter:
    """`/runs/{dag_id}/{run_id}/again`."""
    routes = APIRouter(prefix="/runs/{dag_id}/{run_id}/again", dependencies=[READ_RUN, START])

    @routes.get("")
    def again(request: Request, dag_id: str, run_id: str) -> HTMLResponse:
        """The form; its script sends it to Airflow, which checks it as its own form is checked."""
        started = _started(dag_id, run_id)
        sections = fields_of(started.settings)
        unknown = sorted(set(started.settings) - {one.name for fields in sections.values() for one in fields})
        values = {"run_id": run_id, "dag_id": dag_id, "sections": sections, "unknown": unknown}
        places = {
            "runs": airflow_page(f"/api/v2/dags/{DAG_ID}/dagRuns"),
            "outer": airflow_page(f"/dags/{DAG_ID}/runs/"),
        }
        return page(request, "again.html", **values, **places, is_paused=started.is_paused)

    return routes


def fields_of(settings: Mapping[str, Any]) -> dict[str, list[Field]]:
    """The fields of the form by section, filled with these settings."""
    sections: dict[str, list[Field]] = {}
    for name, param in run_params().items():
        types = param.schema["type"] if isinstance(param.schema["type"], list) else [param.schema["type"]]
        choices = param.schema.get("enum") or (param.schema["examples"] if types[0] == "boolean" else ())
        default = _text(param.value)
        field = Field(
            name,
            param.schema["title"],
            param.schema["description_md"].replace("**", ""),
            types[0],
            tuple(choice for choice in choices if choice is not None),
            _text(settings[name]) if name in settings else default,
            default,
            name in settings,
        )
        sections.setdefault(param.schema["section"], []).append(field)
    return sections


def _text(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _started(dag_id: str, run_id: str) -> Started:
    """The settings of a run, from Airflow's tables.

    Raises:
        HTTPException: 404, there is no such run, or it is one of another DAG.
    """
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from boxwright_airflow.operators import run_info, with_event
    from boxwright_airflow.schedule import params_of_event

    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if run is None or dag_id != DAG_ID:
            raise HTTPException(404, f"DAG {dag_id} has no run {run_id} that this form could be filled from")
        is_paused = bool(session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id)))
        given = {name: value for name, value in (run.conf or {}).items() if value not in (None, "")}
        settings = _with_variables(with_event(given, params_of_event(run)))
        return Started(_dated(settings, run_info({"dag_run": run})), is_paused)


def _with_variables(settings: Mapping[str, Any]) -> dict[str, Any]:
    """With the Variables that stand for what was not given: they may hold dates, which a run by hand does not have."""
    from airflow.sdk import Variable

    held = {name: Variable.get(variable, default=None) for name, variable in VARIABLES.items() if name not in settings}
    return dict(settings) | {name: value for name, value in held.items() if value}


def _dated(settings: Mapping[str, Any], run: RunInfo) -> dict[str, Any]:
    """With the dates of the run in place of the names that stand for them."""
    places = {name: uri for name, uri in settings.items() if isinstance(uri, str) and "{" in uri}
    needed = {"training": "unset", "output": "unset"}
    try:
        resolved = resolve_templates(config_from_params(needed | places), run)
    except UsageError:  # they never were right: the form shows them, to be corrected
        return dict(settings)
    return dict(settings) | {name: getattr(resolved, name) for name in places if hasattr(resolved, name)}
