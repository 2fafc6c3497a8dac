"""The routes for trying a model out: the page, the model's process, and images that go to it and come back as boxes.

Who may read the training DAG may try its models: nothing is kept of an image. Starting a process and sending an image
are asked for by our own page only, as changes are.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from boxwright.config import MODEL_NAME, ModelReference, ServingConfig, parse_record
from boxwright.serving.engine import IMAGE_TYPES, JSON_TYPE, check_content_type
from boxwright.serving.http import LIMITS, ProblemError, read_body
from boxwright_airflow.pages.registered_models import Registered
from boxwright_airflow.pages.render import page
from boxwright_airflow.pages.security import READ, SAME_ORIGIN_HEADER, TOKEN_HEADER, csrf_token
from boxwright_airflow.trial.current_model import current_model
from boxwright_airflow.trial.process import ModelProcess

Name = Annotated[str, Path(pattern=rf"^{MODEL_NAME}$", max_length=200)]
Number = Annotated[int, Path(ge=1, le=999_999_999)]
Token = Annotated[str, Depends(csrf_token)]
# Images that may be on their way at a time; each is at most `max_bytes` in memory.
_AT_A_TIME = 4
_ANSWER_SECONDS = 120.0
_MOST_LISTED = 20
# The order that an image's own coordinates have.
_ACCEPT = f"{JSON_TYPE};box_order=xyxy"


def router() -> APIRouter:
    """`/try` and below."""
    routes = APIRouter(prefix="/try", dependencies=[READ])
    limits, current = parse_record(ServingConfig, LIMITS), current_model()
    turn = asyncio.Semaphore(_AT_A_TIME)

    @routes.get("")
    def choose(request: Request, registered: Registered, model: str = "") -> Response:
        """The models that can be tried; with `model`, a reference, the page of that one."""
        if (chosen := ModelReference.find(model)) and chosen.version is not None:
            return RedirectResponse(f"{request.scope.get('root_path', '')}/try/{chosen.name}/{chosen.version}")
        return page(request, "trial_models.html", models=registered.models(), most=_MOST_LISTED)

    @routes.get("/{name}/{version}")
    def trial(request: Request, name: Name, version: Number, token: Token) -> HTMLResponse:
        """The page of one version."""
        values = {"name": name, "version": version, "token": token, "token_header": TOKEN_HEADER}
        return page(request, "trial.html", **values, limits=limits, types=IMAGE_TYPES)

    @routes.get("/{name}/{version}/status")
    def status(name: Name, version: Number) -> JSONResponse:
        """The status of the version's process; starts nothing."""
        return _json(asdict(current.status(_reference(name, version))))

    @routes.post("/{name}/{version}/start", dependencies=[SAME_ORIGIN_HEADER])
    def start(name: Name, version: Number) -> JSONResponse:
        """Starts the version's process where it does not run, and says how it stands."""
        return _json(asdict(current.start(_reference(name, version))))

    @routes.post("/{name}/{version}/boxes", dependencies=[SAME_ORIGIN_HEADER])
    async def boxes(request: Request, name: Name, version: Number) -> Response:
        """The boxes on the image that is the request's body: what serving answers, errors too."""
        try:
            process = current.use(_reference(name, version))
            if process is None:
                raise ProblemError(409, "not_loaded", "the model is not loaded; start it first")
            async with turn:
                return await _ask(process, await _image(request, limits))
        except ProblemError as problem:
            return problem.response()

    return routes


async def _image(request: Request, limits: ServingConfig) -> tuple[str, bytes]:
    kind = request.headers.get("content-type", "")
    if problem := check_content_type(kind):
        raise ProblemError(415, "unsupported_media_type", problem)
    return kind, await read_body(request, limits.max_bytes, limits.body_timeout)


async def _ask(process: ModelProcess, image: tuple[str, bytes]) -> Response:
    kind, data = image
    headers = {"Content-Type": kind, "Accept": _ACCEPT} | process.headers
    try:
        async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False) as client:
            answer = await client.post(f"{process.url}/invocations", content=data, headers=headers)
    except httpx.TimeoutException:
        raise ProblemError(504, "too_slow", f"the model has not answered in {_ANSWER_SECONDS:.0f} s") from None
    except httpx.HTTPError:
        raise ProblemError(409, "not_loaded", "the model's process has ended; start it again") from None
    process.use()
    return Response(answer.content, answer.status_code, media_type=JSON_TYPE)


def _reference(name: str, version: int) -> str:
    return str(ModelReference(name, version))


def _json(values: dict[str, Any]) -> JSONResponse:
    return JSONResponse(values, headers={"Cache-Control": "no-store"})
