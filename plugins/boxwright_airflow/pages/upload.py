"""The page that brings a dataset from a person's computer into a bucket, file by file.

Who may start a training may bring its data, and only to where the administrator's list lets runs read.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse

from boxwright.airflow_api import DAG_ID
from boxwright.config import SAMPLE_URI
from boxwright.dataset.annotations import splits_below
from boxwright.errors import BoxwrightError, NotAllowedError, UsageError, shorten
from boxwright.storage import is_leftover, join, list_files, parse_uri, unsafe_key, upload_file
from boxwright_airflow.allowed import allowed_here
from boxwright_airflow.links import base_url
from boxwright_airflow.pages.render import page
from boxwright_airflow.pages.security import READ, SAME_ORIGIN_HEADER, START, TOKEN_HEADER, MayStart, csrf_token

FILE_LIMIT = 2_000_000_000  # bytes
# Files that are on their way at a time; each lies on the api-server's disk meanwhile.
_AT_A_TIME = 4
# Seconds that a file may take, and bytes that have to come in each second after that: others wait for their turn.
_PATIENCE, _SLOWEST = 60.0, 10_000
_TOO_SLOW = f"the file came at less than {_SLOWEST / 1000:g} kB a second, and others wait"
Text = Annotated[str, Query(max_length=2000)]
Token = Annotated[str, Depends(csrf_token)]


def router() -> APIRouter:
    """`/upload` and below."""
    routes = APIRouter(prefix="/upload")
    turn = asyncio.Semaphore(_AT_A_TIME)
    asked_by_us = [START, SAME_ORIGIN_HEADER]

    @routes.get("", dependencies=[READ])
    def choose(request: Request, may_start: MayStart, token: Token) -> HTMLResponse:
        """The page with its drop area."""
        values = {"may_start": may_start, "token": token, "token_header": TOKEN_HEADER, "below": _suggested()}
        return page(request, "upload.html", **values, form=f"{base_url()}/dags/{DAG_ID}")

    @routes.post("/begin", dependencies=asked_by_us)
    def begin(dataset: Text) -> JSONResponse:
        """The number of files at a dataset's place: those of another set would become part of this one."""
        return _answer(lambda: {"there": len(list_files(_place(dataset)))})

    @routes.post("/file", dependencies=asked_by_us)
    async def receive(request: Request, dataset: Text, name: Text) -> JSONResponse:
        """Puts the request's body at a place below the dataset, verified; what a system left behind is not taken."""
        async with turn:
            with tempfile.TemporaryDirectory(prefix="boxwright-upload-") as folder:
                file = Path(folder, "file")
                try:
                    size = await _save(request, file)
                except TimeoutError:
                    return JSONResponse({"reason": _TOO_SLOW, "again": True}, 408)
                return await run_in_threadpool(_answer, lambda: _put(file, size, dataset, name))

    @routes.post("/end", dependencies=asked_by_us)
    def end(dataset: Text) -> JSONResponse:
        """The splits that now lie there, each as a run's form takes it."""
        return _answer(lambda: {"splits": splits_below(_place(dataset))})

    return routes


def _place(dataset: str) -> str:
    """The prefix, if a dataset may be brought there.

    Raises:
        UsageError: it is not a prefix in a bucket, or not allowed.
    """
    location = parse_uri(dataset.strip())
    if location.bucket is None or not location.key.strip("/"):
        raise UsageError(f"{dataset!a}: expected a prefix in a bucket, as s3://bucket/datasets/cells")
    uri = str(location).rstrip("/")
    allowed_here().check_place(uri)
    return uri


async def _save(request: Request, file: Path) -> int:
    """Writes the body to a file; returns its bytes, and no more than one beyond the limit.

    Raises:
        TimeoutError: it comes too slowly.
    """
    size, started, body = 0, time.monotonic(), aiter(request.stream())
    with file.open("wb") as opened:
        while size <= FILE_LIMIT:
            left = started + _PATIENCE + size / _SLOWEST - time.monotonic()
            try:
                chunk = await asyncio.wait_for(anext(body), left)
            except StopAsyncIteration:
                break
            size += len(chunk)
            await run_in_threadpool(opened.write, chunk)
    return size


def _put(file: Path, size: int, dataset: str, name: str) -> dict[str, Any]:
    if any(part.startswith(".") or is_leftover(part) for part in name.split("/")):
        return {"left_out": True}
    if reason := unsafe_key(name):
        raise UsageError(f"{shorten(name)} {reason}")
    if size > FILE_LIMIT:
        raise UsageError(f"{shorten(name)} has more than {FILE_LIMIT / 1e9:g} GB; bring it by `boxwright upload`")
    upload_file(file, join(_place(dataset), name))
    return {"bytes": size}


def _answer(work: Any) -> JSONResponse:
    """The result of the work, or the reason why there is none, for the page's script."""
    try:
        told, status = work(), 200
    except BoxwrightError as error:
        told = {"reason": str(error), "again": error.retryable}
        status = 503 if error.retryable else 403 if isinstance(error, NotAllowedError) else 422
    return JSONResponse(told, status, headers={"Cache-Control": "no-store"})


def _suggested() -> str:
    """The prefix below which datasets lie: that of the sample, where there is one."""
    sample = os.environ.get(SAMPLE_URI, "")
    return f"{sample.rpartition('/')[0]}/" if sample else ""
