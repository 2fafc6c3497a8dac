"""Datasets by fingerprint: what is in them, the models trained on them, and what changed since the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import HTMLResponse

from boxwright.dataset.report import PAGE_FILE
from boxwright.dataset.validation import Report
from boxwright_airflow.pages.registered_models import Model, Registered
from boxwright_airflow.pages.render import page
from boxwright_airflow.pages.report import stored_report
from boxwright_airflow.pages.security import READ
from boxwright_airflow.pages.version_facts import Card, cards_of
from boxwright_airflow.results import Results

Fingerprint = Annotated[str, Path(pattern=r"^[A-Za-z0-9:._-]{1,100}$")]


@dataclass(frozen=True)
class Dataset:
    """One fingerprint with the versions that were trained on it, newest first."""

    fingerprint: str
    cards: tuple[Card, ...]

    @property
    def first(self) -> Card:
        """The version that stands for the earliest time."""
        return min(self.cards, key=lambda card: (card.as_of, card.number))


@dataclass(frozen=True)
class Content:
    """The content of a dataset, as its validation found it.

    Attributes:
        splits: counts of `images` and `boxes` by split, and where its annotations lie.
        classes: boxes of each class by split.
        findings: how many records broke a rule, and how many were dropped.
    """

    splits: dict[str, dict[str, Any]]
    classes: dict[str, dict[str, int]]
    findings: int
    dropped: int


@dataclass(frozen=True)
class Change:
    """One number before and after."""

    what: str
    before: int
    after: int


def router() -> APIRouter:
    """`/datasets`, `/datasets/{fingerprint}` and its validation report."""
    routes = APIRouter(prefix="/datasets", dependencies=[READ])

    @routes.get("")
    def datasets(request: Request, registered: Registered) -> HTMLResponse:
        """All datasets that a registered version was trained on."""
        return page(request, "datasets.html", datasets=find_datasets(registered.models()))

    @routes.get("/{fingerprint}")
    def dataset(request: Request, registered: Registered, fingerprint: Fingerprint) -> HTMLResponse:
        """One dataset."""
        everything = find_datasets(registered.models())
        found = _find(everything, fingerprint)
        content, problems, source = read_content(found)
        before = _before(everything, found)
        earlier = read_content(before)[0] if before else None
        return page(
            request,
            "dataset.html",
            dataset=found,
            content=content,
            problems=problems,
            source=source,
            before=before,
            changes=changes_of(earlier, content) if earlier and content else None,
        )

    @routes.get("/{fingerprint}/validation")
    def validation(registered: Registered, fingerprint: Fingerprint) -> HTMLResponse:
        """The validation report of the newest run whose report is there."""
        found = _find(find_datasets(registered.models()), fingerprint)
        source = read_content(found)[2]
        if source is None:
            raise HTTPException(404, "no run of this dataset still has its validation report")
        return stored_report(Results(source.folder).uri(PAGE_FILE))

    return routes


def find_datasets(models: Sequence[Model]) -> list[Dataset]:
    """All datasets by fingerprint, the one that was trained on last first."""
    found: dict[str, list[Card]] = {}
    for model in models:
        for card in cards_of(model):
            if card.fingerprint:
                found.setdefault(card.fingerprint, []).append(card)
    datasets = [
        Dataset(name, tuple(sorted(cards, key=lambda card: (card.as_of, card.number), reverse=True)))
        for name, cards in found.items()
    ]
    return sorted(datasets, key=lambda one: one.cards[0].as_of, reverse=True)


def _find(datasets: Sequence[Dataset], fingerprint: str) -> Dataset:
    found = next((one for one in datasets if one.fingerprint == fingerprint), None)
    if found is None:
        raise HTTPException(404, f"no registered version was trained on a dataset {fingerprint}")
    return found


def _before(datasets: Sequence[Dataset], dataset: Dataset) -> Dataset | None:
    """The dataset of the same model that the newest version before the first of this one was trained on."""
    names = {card.name for card in dataset.cards}
    earlier = [
        (card.as_of, card.number, one)
        for one in datasets
        if one != dataset
        for card in one.cards
        if card.name in names and (card.as_of, card.number) < (dataset.first.as_of, dataset.first.number)
    ]
    return max(earlier, key=lambda found: found[:2])[2] if earlier else None


def read_content(dataset: Dataset, tries: int = 3) -> tuple[Content | None, list[str], Card | None]:
    """The content, from the newest of some runs that left it; else the problems; and the run's version."""
    problems: list[str] = []
    for card in dataset.cards[:tries]:
        results = Results(card.folder)
        report = results.validation()
        if report is not None:
            return _content(report), [], card
        problems += [f"{card.name} {card.number}: {problem}" for problem in results.problems]
    return None, problems, None


def _content(report: Report) -> Content:
    classes: dict[str, dict[str, int]] = {}
    for split, facts in report.splits.items():
        counts = facts.get("classes")
        for name, count in counts.items() if isinstance(counts, dict) else ():
            classes.setdefault(str(name), {})[split] = _count(count)
    shown = {
        name: {
            "images": _count(one.get("images")),
            "boxes": _count(one.get("boxes")),
            "annotations": str(one.get("annotations", "")),
        }
        for name, one in report.splits.items()
    }
    return Content(shown, classes, len(report.findings), len(report.dropped))


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def changes_of(before: Content, after: Content) -> list[Change]:
    """Every count that differs: images and boxes of each split, and boxes of each class."""
    changes = []
    for split in dict.fromkeys([*before.splits, *after.splits]):
        for what in ("images", "boxes"):
            one, other = (content.splits.get(split, {}).get(what, 0) for content in (before, after))
            changes.append(Change(f"{split}: {what}", one, other))
    for name in dict.fromkeys([*before.classes, *after.classes]):
        one, other = (sum(content.classes.get(name, {}).values()) for content in (before, after))
        changes.append(Change(f"boxes of {name}", one, other))
    return [change for change in changes if change.before != change.after]
