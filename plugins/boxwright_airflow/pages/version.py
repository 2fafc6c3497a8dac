"""One version: report, gallery, label map, lineage, archive, how to serve it, and which changes there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from boxwright.config import ServingConfig
from boxwright.evaluation import FORMATS_FOLDER, REPORT_PAGE, worst_confusions
from boxwright.evaluation.report import TITLES, format_rows
from boxwright.storage import exists, parse_uri, presigned
from boxwright_airflow.allowed import allowed_here
from boxwright_airflow.pages.lineage import chain_of, graph_of, metadata_of
from boxwright_airflow.pages.registered_models import Model, Registered, find_model
from boxwright_airflow.pages.render import page
from boxwright_airflow.pages.report import stored_report
from boxwright_airflow.pages.security import READ, MayChange
from boxwright_airflow.pages.version_facts import Card, cards_of
from boxwright_airflow.results import Results

LINK_SECONDS = 300
DONE = {
    "promoted": "This version is the champion now.",
    "unchanged": "This version was the champion already; nothing has changed.",
    "restored": "The champion before is the champion again: this version.",
}
_PICTURE_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=3600"}

Name = Annotated[str, Path(max_length=300)]
Number = Annotated[int, Path(ge=1, le=999_999_999)]


def find_card(models: Sequence[Model], name: str, number: int) -> Card:
    """The card of a version.

    Raises:
        HTTPException: 404; it names what there is.
        UsageError: there is no such model.
    """
    cards = cards_of(find_model(models, name))
    found = next((card for card in cards if card.number == number), None)
    if found is None:
        listed = ", ".join(str(card.number) for card in cards[:20])
        raise HTTPException(404, f"{name} has no version {number}; it has {listed}")
    return found


def router() -> APIRouter:
    """`/models/{name}/{number}` and what lies below."""
    routes = APIRouter(prefix="/models/{name}/{number}", dependencies=[READ])

    @routes.get("")
    def version(
        request: Request, registered: Registered, allowed: MayChange, name: Name, number: Number, done: str = ""
    ) -> HTMLResponse:
        """The version's page."""
        models = registered.models()
        card = find_card(models, name, number)
        results = Results(card.folder)
        measured = results.evaluation
        chain, origin = chain_of(card, models)
        values = {
            "metrics": results.metrics,
            "split": measured.split if measured else "evaluated",
            "threshold": measured.threshold if measured else None,
            "per_class": results.per_class,
            "gate": results.gate(),
            "confusions": worst_confusions(measured.told_apart) if measured else [],
            "gallery": results.gallery(),
            "formats": _format_table(results) if card.version.has_formats else None,
            "graph": graph_of(card, chain, origin, results.run()),
        }
        versions = cards_of(find_model(models, name))
        return page(
            request,
            "version.html",
            card=card,
            chain=chain,
            origin=origin,
            problems=results.problems,
            formats_folder=f"{card.folder}/{FORMATS_FOLDER}",
            champion=next((one for one in versions if "champion" in one.aliases), None),
            previous=next((one for one in versions if "previous" in one.aliases), None),
            allowed=allowed,
            done=DONE.get(done, ""),
            commands=_commands(card),
            **values,
        )

    @routes.get("/report")
    def report(registered: Registered, name: Name, number: Number) -> HTMLResponse:
        """The evaluation report, shut off from everything."""
        return stored_report(
            Results(_with_results(find_card(registered.models(), name, number)).folder).uri(REPORT_PAGE)
        )

    @routes.get("/gallery/{place}.jpg")
    def gallery(
        registered: Registered, name: Name, number: Number, place: Annotated[int, Path(ge=0, le=9999)]
    ) -> Response:
        """One picture of the gallery."""
        card = _with_results(find_card(registered.models(), name, number))
        return Response(Results(card.folder).picture(place), media_type="image/jpeg", headers=_PICTURE_HEADERS)

    @routes.get("/archive")
    def archive(registered: Registered, name: Name, number: Number) -> Response:
        """The archive: from the bucket by a link that holds for minutes, or from this server's disk."""
        return _archive(_with_results(find_card(registered.models(), name, number)))

    @routes.get("/metadata")
    def metadata(request: Request, registered: Registered, name: Name, number: Number) -> HTMLResponse:
        """The entries of the version's run in ML Metadata."""
        card = find_card(registered.models(), name, number)
        if not card.version.run_id:
            raise HTTPException(404, f"{card.version.reference} was not made by a run of Boxwright")
        return page(request, "metadata.html", card=card, steps=metadata_of(card.version.run_id))

    return routes


def _format_table(results: Results) -> dict[str, Any] | None:
    """Titles and rows of the formats of the version, beside the model itself; None where they cannot be read."""
    found = results.formats()
    if found is None:
        return None
    reasons = [f"{one.name} is {one.status}: {one.reason}" for one in found.formats if one.reason]
    return {"titles": TITLES, "rows": format_rows(found), "reasons": reasons, "summary": found}


def _with_results(card: Card) -> Card:
    if not card.folder:
        raise HTTPException(404, f"{card.version.reference} names no archive of a Boxwright run")
    return card


def _archive(card: Card) -> Response:
    allowed_here().check_place(card.archive)
    name = f"{re.sub(r'[^A-Za-z0-9_.-]', '_', card.name)}-{card.number}.tar.gz"
    if not exists(card.archive):
        raise HTTPException(404, f"{card.archive} is gone; restore it, or train the version again")
    location = parse_uri(card.archive)
    if location.bucket is None:
        return FileResponse(FilePath(location.key), filename=name, media_type="application/gzip")
    return RedirectResponse(presigned(card.archive, LINK_SECONDS, name), 307, headers={"Cache-Control": "no-store"})


def _commands(card: Card) -> list[tuple[str, str]]:
    reference, port = shlex.quote(card.version.reference), ServingConfig.model_fields["port"].default
    ask = f"curl --data-binary @image.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:{port}/invocations"
    return [
        ("Serve it over HTTP", f"boxwright serve {reference}"),
        ("Ask it for the boxes of an image", ask),
        ("Look at images without a server", f"boxwright predict image.jpg --model {reference} --draw boxes/"),
    ]
