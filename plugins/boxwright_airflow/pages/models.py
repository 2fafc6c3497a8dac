"""The list of all models and versions, with AP over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from boxwright_airflow.charts import Point, time_chart
from boxwright_airflow.pages.registered_models import Registered
from boxwright_airflow.pages.render import page
from boxwright_airflow.pages.security import READ
from boxwright_airflow.pages.version_facts import Card, cards_of

PAGE_ROWS = 100
STATES = ("accepted", "rejected")
ALIASES = ("champion", "candidate", "previous")

_SORTS: dict[str, Callable[[Card], Any]] = {
    "name": lambda card: (card.name, card.number),
    "version": lambda card: card.number,
    "ap": lambda card: card.ap,
    "ap50": lambda card: card.ap50,
    "classes": lambda card: len(card.classes),
    "dataset": lambda card: card.fingerprint or None,
    "date": lambda card: card.as_of,
}
Sort = Literal["name", "version", "ap", "ap50", "classes", "dataset", "date"]
COLUMNS: tuple[tuple[str, str], ...] = (
    ("name", "Version"),
    ("", "Aliases"),
    ("ap", "AP"),
    ("ap50", "AP50"),
    ("classes", "Classes"),
    ("", "Parent"),
    ("dataset", "Dataset"),
    ("date", "Stands for"),
    ("", "Run"),
)


@dataclass(frozen=True)
class Wanted:
    """The filter and the order that a visitor asked for; an empty value filters nothing."""

    sort: str
    order: str
    model: str
    text: str
    state: str

    def address(self, **changes: Any) -> str:
        """The query of the same list with something changed."""
        values = {"sort": self.sort, "order": self.order, "model": self.model, "q": self.text, "state": self.state}
        return urlencode({name: value for name, value in (values | changes).items() if value not in ("", None)})

    def takes(self, card: Card) -> bool:
        """Whether a version is among those asked for."""
        if self.model and card.name != self.model:
            return False
        if self.state in STATES and card.version.accepted != (self.state == "accepted"):
            return False
        if self.state in ALIASES and self.state not in card.aliases:
            return False
        return not self.text or any(self.text.casefold() in part.casefold() for part in _searched(card))


def router() -> APIRouter:
    """`/` and `/models`."""
    routes = APIRouter()

    @routes.get("/", dependencies=[READ])
    def start(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/models", 307)

    @routes.get("/models", dependencies=[READ])
    def models(
        request: Request,
        registered: Registered,
        sort: Sort = "date",
        order: Literal["asc", "desc"] = "desc",
        model: Annotated[str, Query(max_length=300)] = "",
        q: Annotated[str, Query(max_length=300)] = "",
        state: Literal["", "accepted", "rejected", "champion", "candidate", "previous"] = "",
        part: Annotated[int, Query(ge=1)] = 1,
    ) -> HTMLResponse:
        """All versions, sorted and filtered."""
        found = registered.models()
        wanted = Wanted(sort, order, model, q.strip(), state)
        everything = [card for one in found for card in cards_of(one)]
        cards = sort_cards([card for card in everything if wanted.takes(card)], sort, order == "desc")
        parts = max(1, -(-len(cards) // PAGE_ROWS))
        part = min(part, parts)
        return page(
            request,
            "models.html",
            names=[one.name for one in found],
            total=len(everything),
            count=len(cards),
            cards=cards[(part - 1) * PAGE_ROWS : part * PAGE_ROWS],
            wanted=wanted,
            columns=COLUMNS,
            states=(*STATES, *ALIASES),
            part=part,
            parts=parts,
            chart=time_chart("AP over time", _series(cards)),
        )

    return routes


def sort_cards(cards: Sequence[Card], sort: str, descending: bool) -> list[Card]:
    """Sorted by a key of `_SORTS`; those without a value come last in either order."""
    key = _SORTS[sort]
    known = sorted((card for card in cards if key(card) is not None), key=key, reverse=descending)
    return known + [card for card in cards if key(card) is None]


def _searched(card: Card) -> list[str]:
    run = card.version.run_id
    return [card.name, card.version.reference, card.fingerprint, card.parent, card.model_id, run, *card.classes]


def _series(cards: Sequence[Card]) -> dict[str, list[Point]]:
    series: dict[str, list[Point]] = {}
    for card in sorted(cards, key=lambda card: card.name):
        if card.ap is not None:
            label = f"{card.name} version {card.number}: AP {card.ap:.3f}, {card.as_of:%Y-%m-%d %H:%M} UTC"
            point = Point(card.as_of, card.ap, label, "champion" in card.aliases)
            series.setdefault(card.name, []).append(point)
    return series
