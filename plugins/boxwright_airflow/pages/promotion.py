"""Promoting and rolling back: asked for once more on a page of its own, and decided upon what that page showed."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from boxwright.config import CHAMPION, PREVIOUS
from boxwright.errors import UsageError
from boxwright_airflow.pages.registered_models import Model, Registered, find_model
from boxwright_airflow.pages.render import page
from boxwright_airflow.pages.security import CHANGE, SAME_ORIGIN, TOKEN_FIELD, csrf_token, user_name
from boxwright_airflow.pages.version import find_card
from boxwright_airflow.pages.version_facts import Card, cards_of, version_path

log = logging.getLogger("boxwright.pages")

Name = Annotated[str, Path(max_length=300)]
Number = Annotated[int, Path(ge=1, le=999_999_999)]
Token = Annotated[str, Depends(csrf_token)]
User = Annotated[str, Depends(user_name)]
# What the page showed as champion; empty where there was none.
Seen = Annotated[str, Form(pattern=r"^[0-9]{0,9}$")]


def router() -> APIRouter:
    """`promote` and `rollback`: GET asks, POST does."""
    routes = APIRouter(prefix="/models/{name}", dependencies=[CHANGE])

    @routes.get("/{number}/promote")
    def ask_to_promote(
        request: Request, registered: Registered, token: Token, name: Name, number: Number
    ) -> HTMLResponse:
        """A page that shows the change before it is made."""
        models = registered.models()
        card, champion = find_card(models, name, number), _named(find_model(models, name), CHAMPION)
        return page(request, "promote.html", card=card, champion=champion, token=token, field=TOKEN_FIELD)

    @routes.post("/{number}/promote", dependencies=[SAME_ORIGIN])
    def promote(
        request: Request, registered: Registered, user: User, name: Name, number: Number, champion: Seen = ""
    ) -> RedirectResponse:
        """Makes the version the champion, if the champion still is what the page showed."""
        try:
            version, before = registered.promote(name, number, int(champion) if champion else None)
        except UsageError as error:
            raise HTTPException(409, str(error)) from None
        log.info("%s made %s the champion; it was %s", user, version.reference, before.reference if before else "none")
        unchanged = before is not None and before.version == number
        return _to(request, name, number, "unchanged" if unchanged else "promoted")

    @routes.get("/rollback")
    def ask_to_roll_back(request: Request, registered: Registered, token: Token, name: Name) -> HTMLResponse:
        """A page that shows the change before it is made."""
        model = find_model(registered.models(), name)
        champion, previous = _named(model, CHAMPION), _named(model, PREVIOUS)
        if champion is None or previous is None or champion == previous:
            raise HTTPException(409, f"{name} has no previous champion; promote a version instead")
        return page(request, "rollback.html", champion=champion, previous=previous, token=token, field=TOKEN_FIELD)

    @routes.post("/rollback", dependencies=[SAME_ORIGIN])
    def roll_back(
        request: Request,
        registered: Registered,
        user: User,
        name: Name,
        champion: Annotated[int, Form(ge=1)],
        reject: Annotated[bool, Form()] = False,
    ) -> RedirectResponse:
        """Makes the champion before the champion again, if the champion still is what the page showed."""
        try:
            went, came = registered.rollback(name, champion, reject)
        except UsageError as error:
            raise HTTPException(409, str(error)) from None
        log.info("%s rolled %s back to %s%s", user, went.reference, came.reference, ", rejecting it" if reject else "")
        return _to(request, name, came.version, "restored")

    return routes


def _named(model: Model, alias: str) -> Card | None:
    return next((card for card in cards_of(model) if alias in card.aliases), None)


def _to(request: Request, name: str, number: int, done: str) -> RedirectResponse:
    # See other: loading the page again must not repeat the change.
    return RedirectResponse(f"{request.scope.get('root_path', '')}{version_path(name, number)}?done={done}", 303)
