"""The routes of the dataset browser: the images of a dataset by its URI, and those of a run with its findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, Response

from boxwright.config import ANNOTATIONS_FILE
from boxwright.dataset.annotations import splits_below
from boxwright.dataset.validation import Finding
from boxwright.images import class_colour
from boxwright.pipeline import Leaves
from boxwright_airflow.allowed import allowed_here
from boxwright_airflow.browsing.content import BBOX_FORMAT, Split, read_image, read_split
from boxwright_airflow.pages.render import page
from boxwright_airflow.pages.security import READ
from boxwright_airflow.results import Results
from boxwright_airflow.runs.page import GUARDS, find_run
from boxwright_airflow.runs.tasks import Run

PER_PAGE = 24
_IMAGE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, max-age=300",
}
Text = Annotated[str, Query(max_length=2000)]


@dataclass(frozen=True)
class Wanted:
    """A visitor's request: a split, and a filter; empty values stand for the first split and for everything."""

    split: str
    label: str
    rule: str
    number: int

    def query(self, **changes: Any) -> str:
        """The query of the same view with something changed; a changed filter begins with its first page."""
        values = {"split": self.split, "label": self.label, "rule": self.rule, "page": 1} | changes
        return urlencode({name: value for name, value in values.items() if value not in ("", 1)})


@dataclass(frozen=True)
class Source:
    """A dataset to look at.

    Attributes:
        title: what it is, for the heading.
        splits: URI of each split's folder.
        address: of its page, below the pages' own.
        fixed: what its addresses have besides what is wanted.
        annotations_file: name of the annotations files.
        bbox_format: of its boxes, as runs have it.
        findings: of its validation, if it was validated.
    """

    title: str
    splits: Mapping[str, str]
    address: str
    fixed: Mapping[str, str]
    annotations_file: str = ANNOTATIONS_FILE
    bbox_format: str = BBOX_FORMAT
    findings: Sequence[Finding] = ()

    def link(self, query: str, below: str = "") -> str:
        """The address of its page, or of something below it, with a query."""
        return f"{self.address}{below}?{'&'.join(part for part in (urlencode(self.fixed), query) if part)}"

    def read(self, split: str) -> Split:
        """One of its splits.

        Raises:
            BoxwrightError: see `read_split`.
            HTTPException: 404, there is no such split.
        """
        if split not in self.splits:
            raise HTTPException(404, f"there is no split {split}; there are {', '.join(self.splits)}")
        found = [one for one in self.findings if one.split == split]
        return read_split(self.splits[split], self.annotations_file, self.bbox_format, found)


def _wanted(
    split: Text = "", label: Text = "", rule: Text = "", page: Annotated[int, Query(ge=1, le=1_000_000)] = 1
) -> Wanted:
    return Wanted(split, label, rule, page)


Filter = Annotated[Wanted, Depends(_wanted)]


def router() -> APIRouter:
    """`/browse` for any dataset that the administrator's list allows, `/runs/{dag_id}/{run_id}/images` for a run's."""
    routes = APIRouter()

    @routes.get("/browse", dependencies=[READ])
    def by_uri(request: Request, wanted: Filter, dataset: Text = "") -> HTMLResponse:
        """The images of a dataset."""
        if not dataset.strip():
            return page(request, "browse.html", source=None)
        return _view(request, _named(dataset), wanted)

    @routes.get("/browse/image", dependencies=[READ])
    def image_by_uri(dataset: Text, split: Text, file: Text) -> Response:
        """One image of a dataset."""
        return _image(_named(dataset), split, file)

    @routes.get("/runs/{dag_id}/{run_id}/images", dependencies=GUARDS)
    def of_run(request: Request, wanted: Filter, dag_id: str, run_id: str) -> HTMLResponse:
        """The images of a run's dataset, with what its validation found."""
        return _view(request, _validated(find_run(dag_id, run_id)), wanted)

    @routes.get("/runs/{dag_id}/{run_id}/images/image", dependencies=GUARDS)
    def image_of_run(dag_id: str, run_id: str, split: Text, file: Text) -> Response:
        """One image of them."""
        return _image(_validated(find_run(dag_id, run_id)), split, file)

    return routes


def _named(dataset: str) -> Source:
    allowed_here().check_place(dataset)
    return Source(dataset, splits_below(dataset), "/browse", {"dataset": dataset})


def _validated(run: Run) -> Source:
    """The dataset of a run, as its newest validation report has it."""
    task = next((one for one in reversed(run.tasks_leaving(Leaves.VALIDATION_REPORT)) if one.report), None)
    results = Results(run.output or "", task.stamp if task else "")
    report = results.validation()
    if report is None:
        raise HTTPException(404, f"run {run.run_id} has no validation report: {'; '.join(results.problems)}")
    files = {name: str(facts.get("annotations", "")) for name, facts in report.splits.items()}
    folders = {name: file.rpartition("/")[0] for name, file in files.items()}
    config = run.config()
    return Source(
        f"of run {run.run_id}",
        folders,
        f"/runs/{run.dag_id}/{run.run_id}/images",
        {},
        config.annotations_file,
        config.data_validation.bbox_format,
        report.findings,
    )


def _view(request: Request, source: Source, wanted: Wanted) -> HTMLResponse:
    name = wanted.split or next(iter(source.splits))
    split = source.read(name)
    pictures = [one for one in split.pictures if one.shows(wanted.label, wanted.rule)]
    pages = max(1, -(-len(pictures) // PER_PAGE))
    number = min(wanted.number, pages)
    return page(
        request,
        "browse.html",
        source=source,
        wanted=wanted,
        name=name,
        split=split,
        count=len(pictures),
        shown=pictures[(number - 1) * PER_PAGE : number * PER_PAGE],
        number=number,
        pages=pages,
        colour=lambda row: "#{:02x}{:02x}{:02x}".format(*class_colour(row)),
        image=lambda file: source.link(urlencode({"split": name, "file": file}), "/image"),
    )


def _image(source: Source, split: str, file: str) -> Response:
    try:
        data, kind = read_image(source.read(split), file)
    except LookupError as error:
        raise HTTPException(404, str(error)) from None
    return Response(data, media_type=kind, headers=_IMAGE_HEADERS)
