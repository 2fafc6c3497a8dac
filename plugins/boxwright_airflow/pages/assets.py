"""The style sheet, scripts and icons of the pages."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from boxwright_airflow.pages.registered_models import warm
from boxwright_airflow.pages.security import READ

STATIC = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "private, max-age=300",
}


def router() -> APIRouter:
    """`/static/{name}`."""
    routes = APIRouter()

    @routes.get("/static/{name}", dependencies=[READ])
    def static(name: str) -> Response:
        """One file; names are looked up and never joined to a path.

        Whole or not at all: a browser that left a page while its files came would ask for the rest of each.
        """
        warm()
        known = {path.name: path for path in STATIC.iterdir() if path.suffix in _TYPES}
        if name not in known:
            raise HTTPException(404, f"there is no file {name}")
        return Response(known[name].read_bytes(), media_type=_TYPES[known[name].suffix], headers=_HEADERS)

    return routes
