"""Errors as HTTP tells them: one JSON object with a code for programs and a reason for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from boxwright.errors import BoxwrightError, UsageError
from boxwright.serving.engine import NotAcceptableError, RefusedImageError, one_line
from boxwright.serving.http.repeated import REQUESTS

IMAGE_STATUS = {"image_empty": 400, "image_unreadable": 400, "image_too_large": 413, "image_too_complex": 413}
_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}


class ProblemError(Exception):
    """An answer other than 200.

    Attributes:
        status: of HTTP.
        code: for programs.
        reason: for people, in one line.
        headers: of the answer.
    """

    def __init__(self, status: int, code: str, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.code, self.reason, self.headers = status, code, reason, dict(headers or {})

    def response(self) -> Response:
        """As it is sent."""
        body = one_line({"error": self.code, "reason": self.reason})
        return Response(body + b"\n", self.status, self.headers, "application/json")


def problem_of(error: BoxwrightError) -> ProblemError:
    """The answer to a request that ran into a typed error."""
    if isinstance(error, RefusedImageError):
        return ProblemError(IMAGE_STATUS[error.code], error.code, str(error))
    if isinstance(error, NotAcceptableError):
        return ProblemError(406, "not_acceptable", str(error))
    if isinstance(error, UsageError):
        return ProblemError(422, "bad_parameter", str(error))
    REQUESTS.error("a request failed: %s", error)
    return ProblemError(500, "internal", "the model failed on this request; the server's log says why")


def install(app: FastAPI) -> None:
    """Makes every error of an application's routes such an answer."""

    @app.exception_handler(ProblemError)
    async def problem(_: Request, error: ProblemError) -> Response:
        return error.response()

    @app.exception_handler(BoxwrightError)
    async def typed(_: Request, error: BoxwrightError) -> Response:
        return problem_of(error).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return ProblemError(422, "bad_parameter", "; ".join(_explained(one) for one in error.errors())).response()

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "http_error")
        return ProblemError(error.status_code, code, str(error.detail), error.headers).response()

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> Response:
        return ProblemError(500, "internal", "the server failed on this request; its log says why").response()


def _explained(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"][1:2])
    return f"{name}={str(problem['input'])[:100]!a}: {problem['msg']}"
