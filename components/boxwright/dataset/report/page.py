"""The validation report as one page: a single HTML file without scripts, for a mail, a bucket or a browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from boxwright.dataset.report.data import SplitBoxes
from boxwright.dataset.report.offenders import Offender, draw_offenders
from boxwright.dataset.report.pictures import Anchors, draw_charts
from boxwright.dataset.validation import REPORT_FILE, RULES, Dropped, Finding, Report
from boxwright.errors import DataError
from boxwright.reporting import chart_figure, count_of, data_uri, document, long_text, number, table, text_of
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
    offenders = draw_offenders(report.findings, splits, folders or {})
    parts = [
        _head(report, links),
        _splits(report),
        _findings(report),
        _offenders(offenders),
        _dropped(report.dropped),
        *(chart_figure(chart) for chart in draw_charts(splits, anchors)),
        _rules(report),
    ]
    write_atomic(path, document("Dataset validation", parts))


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


def _head(report: Report, links: Sequence[str]) -> str:
    errors, warnings = len(report.errors), len(report.warnings)
    if errors:
        style, verdict = "error", f"The dataset is not usable as it is: {count_of(errors, 'error')}."
    else:
        style, verdict = "good", "The dataset can be trained on."
    more = [
        count_of(warnings, "warning"),
        *([f"{count_of(len(report.dropped), 'record')} dropped"] if report.dropped else []),
    ]
    fingerprint = f"Fingerprint <code>{text_of(report.fingerprint)}</code>. " if report.fingerprint else ""
    beside = ", ".join(f'<a href="{text_of(link)}">{text_of(link)}</a>' for link in links)
    return (
        f'<h1>Dataset validation</h1>\n<p class="verdict {style}">{verdict} {", ".join(more)}.</p>\n'
        f'<p class="muted">{fingerprint}Beside this page: {beside}.</p>\n'
    )


def _splits(report: Report) -> str:
    facts = (
        ("images", "Images"),
        ("boxes", "Boxes"),
        ("images_without_boxes", "Images without boxes"),
        ("files_in_images", "Files in images/"),
        ("unused_files", "Files not used"),
    )
    rows = [
        [
            text_of(split),
            *(number(counts.get(key)) for key, _ in facts),
            long_text(counts.get("annotations", "")),
        ]
        for split, counts in report.splits.items()
    ]
    return "<h2>Splits</h2>\n" + table(["Split", *(label for _, label in facts), "Annotations"], rows, range(1, 6))


def _findings(report: Report) -> str:
    if not report.findings:
        return '<h2>Findings</h2>\n<p class="good">None.</p>\n'
    # Sorting is stable: within a severity they stay in the order they were found.
    ordered = sorted(report.findings, key=lambda found: found.severity != "error")
    rows = [
        [
            f'<span class="{text_of(found.severity)}">{text_of(found.severity)}</span>',
            f'<code class="rule">{text_of(found.rule)}</code>',
            _place(found),
            f"<code>{text_of(found.value)}</code>",
            text_of(found.advice),
        ]
        for found in ordered[:SHOWN_FINDINGS]
    ]
    hidden = len(ordered) - len(rows)
    more = f"<p>And {hidden:,} more; all of them are in {REPORT_FILE}.</p>\n" if hidden else ""
    return f"<h2>Findings</h2>\n{table(['Severity', 'Rule', 'Where', 'Value', 'What to do'], rows)}{more}"


def _place(found: Finding) -> str:
    place = found.list if found.index is None else f"{found.list}[{found.index}]"
    file = f"<br>{long_text(found.file)}" if found.file else ""
    return f"{text_of(found.split)}: <code>{text_of(place)}</code>{file}"


def _dropped(dropped: Sequence[Dropped]) -> str:
    if not dropped:
        return ""
    rows = [
        [text_of(record.split), f"<code>{text_of(record.list)}[{record.index}]</code>", long_text(record.file or ""),
         text_of(record.reason)]
        for record in dropped[:SHOWN_FINDINGS]
    ]  # fmt: skip
    hidden = len(dropped) - len(rows)
    more = f"<p>And {hidden:,} more; all of them are in {REPORT_FILE}.</p>\n" if hidden else ""
    return f"<h2>Dropped</h2>\n{table(['Split', 'Record', 'File', 'Why'], rows)}{more}"


def _rules(report: Report) -> str:
    rows = []
    known = [(name, report.rules[name]) for name in RULES if name in report.rules]
    for name, outcome in sorted(known, key=lambda item: -item[1].failed):
        limit = f" ({outcome.threshold:g})" if outcome.threshold is not None else ""
        failed = f'<span class="{text_of(outcome.severity)}">{outcome.failed:,}</span>' if outcome.failed else "0"
        what = f"<code>{text_of(name)}</code><br>{text_of(RULES[name].description)}{limit}"
        rows.append([what, text_of(outcome.severity), f"{outcome.checked:,}", failed])
    return "<h2>Rules</h2>\n" + table(["Rule", "Severity", "Checked", "Failed"], rows, (2, 3))


def _offenders(offenders: Sequence[Offender]) -> str:
    if not offenders:
        return ""
    figures = []
    for offender in offenders:
        texts = dict.fromkeys(
            f'<li class="{text_of(found.severity)}"><code>{text_of(found.rule)}</code> {text_of(found.value)}</li>'
            for found in offender.findings
        )
        items = [*texts][:6] + ([f"<li>and {len(texts) - 6} more</li>"] if len(texts) > 6 else [])
        alone = "" if offender.has_picture else " (declared size; the image was not read)"
        figures.append(
            f'<figure><img alt="{text_of(offender.file)} with its boxes" src="{data_uri(offender.png)}">'
            f"<figcaption>{text_of(offender.split)}: {text_of(offender.file)}{alone}"
            f"<ul>{''.join(items)}</ul></figcaption></figure>"
        )
    note = (
        '<p class="muted">Boxes with findings in red, others in blue; what lies outside an image is on its margin.</p>'
    )
    return f'<h2>Worst images</h2>\n{note}\n<div class="offenders">{"".join(figures)}</div>\n'
