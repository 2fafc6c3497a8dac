"""The validation report as one page: a single HTML file without scripts, for a mail, a bucket or a browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from boxwright.dataset.report.data import SplitBoxes
from boxwright.dataset.report.offenders import draw_offenders
from boxwright.dataset.report.pictures import Anchors, draw_charts
from boxwright.dataset.validation import REPORT_FILE, RULES, Report, foremost
from boxwright.errors import DataError
from boxwright.reporting import render
from boxwright.storage import write_atomic

LINKS = (REPORT_FILE, "great_expectations.json", "data_docs/index.html")
SHOWN_FINDINGS = 200


def write_page(
    path: Path,
    report: Report,
    splits: Mapping[str, SplitBoxes],
    anchors: Anchors | None = None,
    folders: Mapping[str, Path] | None = None,
    links: Sequence[str] = LINKS,
) -> None:
    """Writes the page, atomically.

    Everything that comes from the dataset is escaped; the page loads nothing from anywhere.

    Args:
        path: file to write.
        report: the findings.
        splits: the boxes of each split, as far as they could be read; bad ones may be among them.
        anchors: of the model that will be trained.
        folders: where the images of each split are; unset before the download.
        links: files beside the page to point at.
    """
    # Sorting is stable: within a count they stay in the rules' order.
    known = [{"rule": RULES[name], "of_run": report.rules[name]} for name in RULES if name in report.rules]
    page = render(
        __name__.rpartition(".")[0],
        "validation.html",
        report=report,
        findings=foremost(report.findings, SHOWN_FINDINGS),
        hidden_findings=len(report.findings) - SHOWN_FINDINGS,
        outcomes=sorted(known, key=lambda one: -one["of_run"].failed),
        offenders=draw_offenders(report.findings, splits, folders or {}),
        charts=draw_charts(splits, anchors),
        links=links,
        shown=SHOWN_FINDINGS,
        report_file=REPORT_FILE,
    )
    write_atomic(path, page)


def write_early_page(path: Path, report: Report, anchors: Anchors | None = None, links: Sequence[str] = LINKS) -> None:
    """Writes the page as `write_page` does, before there are any images: boxes are read from the annotations files.

    Raises:
        UsageError, StorageError: a file cannot be read any more; see `boxwright.storage`.
    """
    splits = {}
    for split, facts in report.splits.items():
        with suppress(DataError):  # the report says what is wrong with that file
            splits[split] = SplitBoxes.of_file(split, facts["annotations"], facts.get("bbox_format"))
    write_page(path, report, splits, anchors, links=links)
