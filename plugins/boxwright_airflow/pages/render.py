"""Turns templates into answers: with the security headers, and with a page in place of every error."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException as StarletteHTTPException

from boxwright.errors import BoxwrightError, NotAllowedError

log = logging.getLogger("boxwright.pages")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
_TITLES = {
    400: "That did not work",
    401: "Please log in",
    403: "Not allowed",
    404: "Not found",
    409: "That did not work",
    422: "That did not work",
    502: "Something is missing",
    503: "Something is missing",
}


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Renders a template of `templates/`; what it writes is escaped.

    Args:
        request: tells where the pages lie: templates begin links with `{{ base }}`.
        template: name of the file.
        status: of the answer.
        values: of the template.
    """
    base = request.scope.get("root_path", "").rstrip("/")
    text = environment().get_template(template).render(base=base, path=request.url.path.removeprefix(base), **values)
    return HTMLResponse(text, status, headers=HEADERS)


@cache
def environment() -> Environment:
    """Jinja2 with escaping in every template, and an error for every name that is not given."""
    return Environment(
        loader=PackageLoader("boxwright_airflow.pages"),
        autoescape=True,
        # A running server keeps the templates that belong to its code.
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def answer_errors(web: FastAPI) -> None:
    """Makes every refusal and failure a page that says what is missing and what to do."""

    @web.exception_handler(StarletteHTTPException)
    def refused(request: Request, error: StarletteHTTPException) -> HTMLResponse:
        return _problem(request, error.status_code, str(error.detail))

    @web.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> HTMLResponse:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors()[:5])
        return _problem(request, 422, f"the address or form is not complete: {wrong}")

    @web.exception_handler(BoxwrightError)
    def failed(request: Request, error: BoxwrightError) -> HTMLResponse:
        status = 403 if isinstance(error, NotAllowedError) else 503 if error.retryable else 404
        return _problem(request, status, str(error))

    @web.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> HTMLResponse:
        log.error("%s failed", request.url.path, exc_info=error)
        return _problem(request, 500, f"{type(error).__name__}; the api-server's log has the rest")


def _problem(request: Request, status: int, text: str) -> HTMLResponse:
    return page(request, "error.html", status, title=_TITLES.get(status, "That did not work"), text=text)


__all__ = ["HEADERS", "HTTPException", "answer_errors", "environment", "page"]
