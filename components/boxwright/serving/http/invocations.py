"""The two routes that take images: their requests and their answers."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from fastapi import Request, Response
from starlette.datastructures import UploadFile

from boxwright.errors import BoxwrightError
from boxwright.serving.engine import Detections, Engine, Seen, contract, draw_answer
from boxwright.serving.http.bodies import files_of, read_body, read_form, too_large
from boxwright.serving.http.problems import ProblemError, problem_of

# What multipart puts around the files.
_FORM_BYTES = 1_000_000
Threshold = float | Literal["model"] | None


async def answer_one(engine: Engine, request: Request, accept: str, threshold: Threshold) -> Response:
    """The answer to one image as the request's body.

    Args:
        engine: that looks at it.
        request: with the image.
        accept: the header.
        threshold: least score; None for all boxes in JSON, and the model's own in a picture, which a hundred boxes
            would hide.

    Raises:
        ProblemError, BoxwrightError: it is not answered.
    """
    config = engine.config
    wanted = contract.parse_accept(accept)
    if problem := contract.check_content_type(request.headers.get("content-type", "")):
        raise ProblemError(415, "unsupported_media_type", problem)
    seen = await engine.look(await read_body(request, config.max_bytes, config.body_timeout))
    info = seen.predictor.info
    headers = {"X-Model": info.source.reference}
    if wanted.kind == "picture":
        shown = _shown(seen, "model" if threshold is None else threshold)
        drawn = shown if wanted.n_predictions is None else shown.first(wanted.n_predictions)
        picture = await engine.aside(lambda: draw_answer(seen.picture, drawn, info.classes))
        return Response(picture, media_type=contract.PICTURE_TYPE, headers=headers)
    told = contract.answer(_shown(seen, threshold), info.classes, wanted)
    return json_response(told, headers | {"X-Box-Order": contract.BOX_ORDER_HEADER[wanted.box_order]})


async def answer_many(engine: Engine, request: Request, accept: str, threshold: Threshold) -> Response:
    """The answer to the files of a form: one entry each, in order, an error where one cannot be looked at.

    Raises:
        ProblemError, BoxwrightError: none is answered.
    """
    config = engine.config
    wanted = contract.parse_accept(accept)
    if wanted.kind == "picture":
        raise contract.NotAcceptableError("several images are answered as application/json only")
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise ProblemError(415, "unsupported_media_type", "send the images as the files of multipart/form-data")
    # No more than the model takes at a time: one request must not fill the queue of all.
    turn = asyncio.Semaphore(config.max_batch)

    async def one(file: UploadFile) -> dict[str, Any]:
        name = {"file_name": file.filename or ""}
        async with turn:
            try:
                return name | await _answer_file(engine, file, wanted, threshold)
            except ProblemError as error:
                return name | _told(error)
            except BoxwrightError as error:
                return name | _told(problem_of(error))

    limit = config.max_bytes * config.max_files + _FORM_BYTES
    async with read_form(request, limit, config.max_files, config.body_timeout) as form:
        files = files_of(form)
        if not files:
            raise ProblemError(400, "bad_request", "the form has no file; add each image as a file of the form")
        told = await asyncio.gather(*(one(file) for file in files))
    return json_response({"predictions": told}, {"X-Box-Order": contract.BOX_ORDER_HEADER[wanted.box_order]})


def _told(problem: ProblemError) -> dict[str, Any]:
    return {"error": problem.code, "reason": problem.reason}


async def _answer_file(
    engine: Engine, file: UploadFile, wanted: contract.Wanted, threshold: Threshold
) -> dict[str, Any]:
    if (file.size or 0) > engine.config.max_bytes:
        raise too_large(engine.config.max_bytes)
    seen = await engine.look(await file.read())
    info = seen.predictor.info
    return {"model": info.source.reference} | contract.answer(_shown(seen, threshold), info.classes, wanted)


def _shown(seen: Seen, threshold: Threshold) -> Detections:
    if threshold is None:
        return seen.detections
    return seen.detections.at_least(seen.predictor.info.threshold if threshold == "model" else threshold)


def json_response(value: Any, headers: dict[str, str] | None = None) -> Response:
    """One line of JSON."""
    return Response(contract.one_line(value) + b"\n", headers=headers, media_type=contract.JSON_TYPE)
