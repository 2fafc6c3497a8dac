"""Versions side by side: metrics, classes, hyperparameters, and what each finds on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse

from boxwright.evaluation import GalleryEntry
from boxwright_airflow.charts import bar_chart
from boxwright_airflow.pages.registered_models import Model, Registered
from boxwright_airflow.pages.render import page
from boxwright_airflow.pages.security import READ
from boxwright_airflow.pages.version import find_card
from boxwright_airflow.pages.version_facts import Card
from boxwright_airflow.results import Results

MOST = 6
# Lower is better of these alone; of counts neither is.
LOSSES = ("val_loss", "val_localization_loss", "val_classification_loss", "first_epoch_val_loss")
SCORES = (
    "AP", "AP50", "AP75", "VOC_AP50", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100", "precision",
    "recall", "F1",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One metric of all versions; `best` are the columns with the best value, none where all are alike."""

    name: str
    values: tuple[float | None, ...]
    best: frozenset[int]


@dataclass(frozen=True)
class Shared:
    """One image that more than one version shows: by column, the place of its picture and its counts in words."""

    file: str
    pictures: tuple[tuple[int, str] | None, ...]


def router() -> APIRouter:
    """`/compare?v=name/3&v=name/4`."""
    routes = APIRouter()

    @routes.get("/compare", dependencies=[READ])
    def compare(
        request: Request, registered: Registered, v: Annotated[list[str] | None, Query(max_length=MOST)] = None
    ) -> HTMLResponse:
        """Two to six versions."""
        cards = _cards(registered.models(), v or [])
        if len(cards) < 2:
            raise HTTPException(422, "select two or more versions in the list of models, then compare them")
        results = [Results(card.folder) for card in cards]
        per_class = [one.per_class for one in results]
        classes = list(dict.fromkeys(name for found in per_class for name in found))
        values = {name: [found[name].AP if name in found else None for found in per_class] for name in classes}
        shared = shared_images([one.gallery() for one in results])
        splits = {one.evaluation.split for one in results if one.evaluation}
        return page(
            request,
            "compare.html",
            cards=cards,
            names=[f"{card.name} {card.number}" for card in cards],
            metrics=metric_rows([one.metrics or card.metrics for one, card in zip(results, cards, strict=True)]),
            classes=[Row(name, tuple(row), _best(row, lower=False)) for name, row in values.items()],
            chart=bar_chart(values) if values else None,
            settings=differences([settings_of(card) for card in cards]),
            shared=shared,
            problems=[(card, problem) for card, one in zip(cards, results, strict=True) for problem in one.problems],
            one_dataset=len({card.fingerprint for card in cards}) == 1 and len(splits) <= 1,
        )

    return routes


def _cards(models: Sequence[Model], named: Sequence[str]) -> list[Card]:
    cards: list[Card] = []
    for text in dict.fromkeys(named):
        name, _, number = text.rpartition("/")
        if not number.isascii() or not number.isdigit() or len(number) > 9:
            raise HTTPException(422, f"{text[:100]!a} is not a version; expected a name, / and a number")
        cards.append(find_card(models, name, int(number)))
    return cards


def metric_rows(found: Sequence[dict[str, float]]) -> list[Row]:
    """One row for each metric that any version has: scores first, then losses, then all others."""
    known = list(dict.fromkeys(name for metrics in found for name in metrics))
    ordered = [name for name in (*SCORES, *LOSSES) if name in known]
    ordered += [name for name in known if name not in ordered]
    rows = []
    for name in ordered:
        values = tuple(metrics.get(name) for metrics in found)
        ranked = name in SCORES or name in LOSSES
        rows.append(Row(name, values, _best(values, lower=name in LOSSES) if ranked else frozenset()))
    return rows


def _best(values: Sequence[float | None], lower: bool) -> frozenset[int]:
    known = [value for value in values if value is not None]
    if len(set(known)) < 2:
        return frozenset()
    best = min(known) if lower else max(known)
    return frozenset(column for column, value in enumerate(values) if value == best)


def settings_of(card: Card) -> dict[str, Any]:
    """The settings of a version's training by name: hyperparameters and the run's other settings."""
    told = {name: value for name, value in card.config.items() if name not in ("hyperparameters", "output")}
    flat = {
        f"{name}.{key}" if isinstance(value, dict) else name: inner
        for name, value in told.items()
        for key, inner in (value.items() if isinstance(value, dict) else [(name, value)])
    }
    return {**card.hyperparameters, **flat, "dataset": card.fingerprint, "code version": card.code_version}


def differences(found: Sequence[dict[str, Any]]) -> list[tuple[str, tuple[str, ...]]]:
    """The settings that are not the same in all, with each one's value; what is not set is `-`."""
    names = dict.fromkeys(name for settings in found for name in settings)
    rows = [(name, tuple(str(settings.get(name, "-")) for settings in found)) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def shared_images(galleries: Sequence[Sequence[GalleryEntry]]) -> list[Shared]:
    """The images that two or more galleries have, by file name; those of all first."""
    places = [{one.file: (one.picture, one.caption) for one in found} for found in galleries]
    files = dict.fromkeys(file for found in places for file in found)
    rows = [Shared(file, tuple(found.get(file) for found in places)) for file in files]
    shared = [row for row in rows if sum(one is not None for one in row.pictures) > 1]
    return sorted(shared, key=lambda row: sum(one is None for one in row.pictures))
