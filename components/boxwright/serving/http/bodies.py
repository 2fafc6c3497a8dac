"""Reads request bodies: bounded in bytes, files and seconds, whatever the headers say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.types import Message

from boxwright.serving.http.problems import ProblemError

# Read and thrown away past a limit: a client that still sends when the connection closes never sees the answer.
_DRAINED = 8


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The whole body.

    Args:
        request: whose body it is.
        limit: bytes at most.
        seconds: the client's time limit.

    Raises:
        ProblemError: 413 or 408.
        ClientDisconnect: the client has gone.
    """
    announced = request.headers.get("content-length", "")
    # With `Expect: 100-continue` nothing was sent yet, and nothing will be.
    if announced.isdecimal() and int(announced) > limit and "expect" in request.headers:
        raise too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async with _within(seconds):
        async for chunk in request.stream():
            size += len(chunk)
            if size > _DRAINED * limit:
                break
            if size <= limit:
                chunks.append(chunk)
            else:
                chunks.clear()
    if size > limit:
        raise too_large(limit)
    return b"".join(chunks)


@asynccontextmanager
async def read_form(request: Request, limit: int, max_files: int, seconds: float) -> AsyncIterator[FormData]:
    """The files of a multipart body, kept on disk where they are large, for the time of the block.

    Args:
        request: whose body it is.
        limit: bytes at most, of all files together.
        max_files: files at most.
        seconds: the client's time limit.

    Raises:
        ProblemError: 408 or 413.
        HTTPException: 400, the body is not multipart or has too many parts.
        ClientDisconnect: the client has gone.
    """
    bounded = Request(request.scope, _Bounded(request, limit), request._send)
    async with _within(seconds):
        form = await bounded.form(max_files=max_files, max_fields=max_files)
    try:
        yield form
    finally:
        await form.close()


def files_of(form: FormData) -> Sequence[UploadFile]:
    """The files of a form, in its order, whatever their fields are called."""
    return [value for _, value in form.multi_items() if isinstance(value, UploadFile)]


class _Bounded:
    """Gives a request's messages on, as long as their bodies are within a limit."""

    def __init__(self, request: Request, limit: int) -> None:
        self.request, self.limit, self.size = request, limit, 0

    async def __call__(self) -> Message:
        """The next message."""
        message = await self.request.receive()
        self.size += len(message.get("body", b""))
        if self.size > self.limit:
            raise too_large(self.limit)
        return message


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ProblemError(
            408, "too_slow", f"the request was not complete after {seconds:g} s", {"Connection": "close"}
        ) from None


def too_large(limit: int) -> ProblemError:
    """The answer to a body over the limit."""
    reason = f"the body is larger than the limit of {limit:,} bytes; send a smaller image"
    return ProblemError(413, "body_too_large", reason, {"Connection": "close"})
