"""Middleware that checks the token, bounds the number of requests in progress, and counts requests."""

from __future__ import annotations

import hmac
import time
from collections.abc import Collection

from h11 import LocalProtocolError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from boxwright.serving.engine import Engine
from boxwright.serving.http.problems import ProblemError
from boxwright.serving.http.repeated import REQUESTS

# A load balancer asks without a token.
_OPEN = ("/ping",)
_BOUNDED = ("/invocations", "/invocations/batch")


class Admission:
    """ASGI middleware that admits requests.

    Args:
        app: the application that gets the requests.
        engine: the engine whose queue it guards.
        token: token that clients must send; None admits everybody.
        routes: paths counted under their own name; others are counted together, so that nobody can fill the
            memory with made-up ones.
    """

    def __init__(self, app: ASGIApp, engine: Engine, token: str | None, routes: Collection[str]) -> None:
        self.app, self.engine, self.routes = app, engine, frozenset(routes)
        self._token = None if token is None else f"Bearer {token}".encode()
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request in, or answers it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, path, status = time.monotonic(), scope["path"], 499  # nginx's: the client has gone

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._enter(scope, receive, counted)
        except ClientDisconnect:
            pass
        except LocalProtocolError as error:
            # What came was no HTTP after all: uvicorn has answered 400 in the midst of it.
            REQUESTS.warning("an answer was not sent: %s", error)
        finally:
            route = path if path in self.routes else "other"
            self.engine.telemetry.request(route, status, time.monotonic() - started)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if problem := self._problem(scope):
            await problem.response()(scope, receive, send)
            return
        if path not in _BOUNDED:
            await self.app(scope, receive, send)
            return
        self._in_progress += 1
        self.engine.telemetry.in_progress(self._in_progress)
        try:
            await self.app(scope, receive, send)
        finally:
            self._in_progress -= 1
            self.engine.telemetry.in_progress(self._in_progress)

    def _problem(self, scope: Scope) -> ProblemError | None:
        path = scope["path"]
        if self._token is not None and path not in _OPEN:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._token):
                reason = "this server asks for a token; send the header Authorization: Bearer TOKEN"
                return ProblemError(401, "unauthorized", reason, {"WWW-Authenticate": "Bearer"})
        if path in _BOUNDED and self._in_progress >= self.engine.config.max_queue:
            seconds = self.engine.batcher.seconds_until_free(self._in_progress)
            reason = f"{self._in_progress} requests are in progress, which is the limit; try again in {seconds} s"
            return ProblemError(503, "busy", reason, {"Retry-After": str(seconds)})
        return None
