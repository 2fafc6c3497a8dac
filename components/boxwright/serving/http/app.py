"""The HTTP application: the two routes of the managed algorithm, and further ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.responses import HTMLResponse
from starlette.routing import Route

from boxwright import __version__
from boxwright.config import Fraction
from boxwright.serving.engine import CONTENT_TYPE, Engine, contract
from boxwright.serving.http import problems
from boxwright.serving.http.admission import Admission
from boxwright.serving.http.api_page import api_page
from boxwright.serving.http.invocations import answer_many, answer_one, json_response
from boxwright.serving.http.problems import ProblemError

Threshold = Annotated[
    Fraction | Literal["model"] | None,
    Query(description="Minimum score of a box; `model` for the model's own. If unset, all boxes, best first."),
]
Accept = Annotated[str, Header(description=f"One of {', '.join(contract.ANSWER_TYPES)}.")]

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_IMAGE_BODY = {"requestBody": {"required": True, "content": {kind: _BINARY for kind in contract.IMAGE_TYPES}}}
_FORM = {
    "type": "object",
    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
}
_FORM_BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}
_STATUS = {
    400: "The body is empty, is not a JPEG or PNG, or is broken.",
    401: "The token is missing or wrong.",
    406: "`Accept` names no content type that the server can produce.",
    408: "The request was too slow.",
    413: "The body or the image is too large.",
    415: "The content type is not that of an image.",
    422: "A parameter is not valid.",
    503: "Too many requests are in progress; see `Retry-After`.",
}
_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "reason": {"type": "string"}},
    "required": ["error", "reason"],
}


def _responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {"application/json": {"schema": _ERROR}}
    return {status: {"description": _STATUS[status], "content": content} for status in statuses}


def create_app(engine: Engine, token: str | None = None) -> FastAPI:
    """The HTTP application of an engine, which it starts and stops.

    Args:
        engine: the engine, with a model that is warm.
        token: token that clients must send; None to admit everybody.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        engine.telemetry.model(engine.current.info.source.reference)
        yield
        await engine.stop()

    app = FastAPI(
        title="Boxwright",
        version=__version__,
        description="Object detection in one image per request, as in the managed algorithm, or in several.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    _add_invocations(app, engine)
    _add_facts(app, engine)
    routes = [route.path for route in app.routes if isinstance(route, Route)]
    app.add_middleware(Admission, engine=engine, token=token, routes=routes)
    return app


def _add_invocations(app: FastAPI, engine: Engine) -> None:
    responses = _responses(400, 401, 406, 408, 413, 415, 422, 503)

    @app.post("/invocations", summary="Detect objects in one image", openapi_extra=_IMAGE_BODY, responses=responses)
    async def invoke(request: Request, accept: Accept = "", threshold: Threshold = None) -> Response:
        """One line of JSON with `normalized_boxes`, `classes` and `scores`, or the image with its boxes drawn."""
        return await answer_one(engine, request, accept, threshold)

    @app.post(
        "/invocations/batch", summary="Detect objects in several images", openapi_extra=_FORM_BODY, responses=responses
    )
    async def invoke_batch(request: Request, accept: Accept = "", threshold: Threshold = None) -> Response:
        """`predictions`, one for each file in order: its `file_name` and either the answer or an `error`."""
        return await answer_many(engine, request, accept, threshold)


def _add_facts(app: FastAPI, engine: Engine) -> None:
    @app.get("/ping", summary="Health of the server")
    async def ping() -> Response:
        """200 as soon as the model is warm, and as long as images are answered."""
        if problem := engine.problem:
            raise ProblemError(503, "not_ready", problem, {"Retry-After": "1"})
        return json_response({"status": "ok", "model": engine.current.info.source.reference})

    @app.get("/model", summary="Facts about the model", responses=_responses(401))
    async def model() -> Response:
        """Name, version, classes, input size, metrics, and the recommended minimum score."""
        info = engine.current.info
        told = {
            "reference": info.source.reference,
            "name": info.source.name,
            "version": info.source.version,
            "model_id": info.model_id,
            "input_size": [info.image_size, info.image_size] if info.image_size else None,
            "classes": info.classes,
            "category_ids": info.category_ids,
            "metrics": info.metrics,
            "default_threshold": info.threshold,
            "default_threshold_origin": info.threshold_origin,
        }
        return json_response(told)

    @app.get("/metrics", summary="Metrics for Prometheus", responses=_responses(401))
    async def metrics() -> Response:
        """Metrics in the text format of Prometheus."""
        return Response(engine.telemetry.exposition(), media_type=CONTENT_TYPE)

    @app.get("/docs", summary="Documentation of the API", response_class=HTMLResponse, responses=_responses(401))
    async def docs() -> HTMLResponse:
        """Documentation for people; `/openapi.json` is for programs."""
        return HTMLResponse(
            api_page(app.openapi()),
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )
