"""The validation report as one page: a single HTML file without scripts, for a mail, a bucket or a browser."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

from components.dataset.findings import REPORT_FILE, Dropped, Finding, Report
from components.dataset.report_data import SplitBoxes
from components.dataset.report_offenders import Offender, draw_offenders
from components.dataset.report_pictures import Anchors, Chart, draw_charts
from components.dataset.rules import RULES
from components.errors import DataError
from components.storage import write_atomic

PAGE_FILE = "validation_report.html"
LINKS = (REPORT_FILE, "great_expectations.json", "data_docs/index.html")
SHOWN_FINDINGS = 200
_LONGEST_TEXT = 400

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --muted: #59636e; --paper: #fff; --raised: #f6f8fa; --line: #d8dee4;
  --good: #1a7f37; --bad: #c0281c; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --muted: #9aa4af; --paper: #0d1117; --raised: #161b22;
  --line: #30363d; --good: #4ac26b; --bad: #ff7b72; --warn: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); overflow-wrap: break-word; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
p { margin: .25rem 0 .75rem; } code { font: .85em ui-monospace, monospace; } .muted, figcaption { color: var(--muted); }
a { color: inherit; } .error { color: var(--bad); } .warning { color: var(--warn); } .good { color: var(--good); }
.verdict { border-left: .4rem solid currentColor; padding: .5rem 1rem; background: var(--raised); font-size: 1.15rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-weight: 500; white-space: nowrap; }
td code, .any, figcaption { overflow-wrap: anywhere; }
code.rule { white-space: nowrap; } .number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; overflow-x: auto; } figcaption { font-size: .9rem; max-width: 44rem; }
.chart img { display: block; min-width: 34rem; max-width: 100%; margin: .25rem 0; }
.offenders { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); gap: 1rem; }
.offenders figure { margin: 0; } .offenders img { display: block; width: 100%; border-radius: .3rem; }
.offenders ul { margin: .25rem 0; padding-left: 1.1rem; }
@media (max-width: 42rem) { .cards thead { display: none; } .cards tr { display: block; padding: .6rem 0;
  border-bottom: 1px solid var(--line); } .cards td { display: block; border: 0; padding: 0; text-align: left; }
  .cards td[data-label]::before { content: attr(data-label) ": "; color: var(--muted); } }
"""


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
        *(_chart(chart) for chart in draw_charts(splits, anchors)),
        _rules(report),
    ]
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Dataset validation</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f"<style>{_STYLE}</style></head>\n<body>\n{''.join(parts)}</body></html>\n"
    )
    write_atomic(path, text.encode())


def write_early_page(path: Path, report: Report, anchors: Anchors | None = None, links: Sequence[str] = LINKS) -> None:
    """Writes the page as `write_page` does, before there are any images: boxes are read from the annotations files.

    Raises:
        UsageError, StorageError: a file cannot be read any more; see `components.storage`.
    """
    splits = {}
    for split, facts in report.splits.items():
        with suppress(DataError):  # the report says what is wrong with that file
            splits[split] = SplitBoxes.of_file(split, facts["annotations"], facts.get("bbox_format"))
    write_page(path, report, splits, anchors, links=links)


def text_of(value: Any) -> str:
    """`value` as HTML text: escaped, cut where it is long, and with nothing in it that moves or hides other text."""
    raw = value if isinstance(value, str) else str(value)
    shown = raw if len(raw) <= _LONGEST_TEXT else f"{raw[: _LONGEST_TEXT - 3]}..."
    visible = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in shown)
    return escape(visible, quote=True)


def _head(report: Report, links: Sequence[str]) -> str:
    errors, warnings = len(report.errors), len(report.warnings)
    if errors:
        style, verdict = "error", f"The dataset is not usable as it is: {_count(errors, 'error')}."
    else:
        style, verdict = "good", "The dataset can be trained on."
    more = [
        _count(warnings, "warning"),
        *([f"{_count(len(report.dropped), 'record')} dropped"] if report.dropped else []),
    ]
    fingerprint = f"Fingerprint <code>{text_of(report.fingerprint)}</code>. " if report.fingerprint else ""
    beside = ", ".join(f'<a href="{text_of(link)}">{text_of(link)}</a>' for link in links)
    return (
        f'<h1>Dataset validation</h1>\n<p class="verdict {style}">{verdict} {", ".join(more)}.</p>\n'
        f'<p class="muted">{fingerprint}Beside this page: {beside}.</p>\n'
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


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
            *(_number(counts.get(key)) for key, _ in facts),
            _long(counts.get("annotations", "")),
        ]
        for split, counts in report.splits.items()
    ]
    return "<h2>Splits</h2>\n" + _table(["Split", *(label for _, label in facts), "Annotations"], rows, range(1, 6))


def _long(value: Any) -> str:
    """Text that may be broken anywhere: URIs and file names."""
    return f'<span class="any">{text_of(value)}</span>'


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else text_of("-" if value is None else value)


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
    return f"<h2>Findings</h2>\n{_table(['Severity', 'Rule', 'Where', 'Value', 'What to do'], rows)}{more}"


def _place(found: Finding) -> str:
    place = found.list if found.index is None else f"{found.list}[{found.index}]"
    file = f"<br>{_long(found.file)}" if found.file else ""
    return f"{text_of(found.split)}: <code>{text_of(place)}</code>{file}"


def _dropped(dropped: Sequence[Dropped]) -> str:
    if not dropped:
        return ""
    rows = [
        [text_of(record.split), f"<code>{text_of(record.list)}[{record.index}]</code>", _long(record.file or ""),
         text_of(record.reason)]
        for record in dropped[:SHOWN_FINDINGS]
    ]  # fmt: skip
    hidden = len(dropped) - len(rows)
    more = f"<p>And {hidden:,} more; all of them are in {REPORT_FILE}.</p>\n" if hidden else ""
    return f"<h2>Dropped</h2>\n{_table(['Split', 'Record', 'File', 'Why'], rows)}{more}"


def _rules(report: Report) -> str:
    rows = []
    known = [(name, report.rules[name]) for name in RULES if name in report.rules]
    for name, outcome in sorted(known, key=lambda item: -item[1].failed):
        limit = f" ({outcome.threshold:g})" if outcome.threshold is not None else ""
        failed = f'<span class="{text_of(outcome.severity)}">{outcome.failed:,}</span>' if outcome.failed else "0"
        what = f"<code>{text_of(name)}</code><br>{text_of(RULES[name].description)}{limit}"
        rows.append([what, text_of(outcome.severity), f"{outcome.checked:,}", failed])
    return "<h2>Rules</h2>\n" + _table(["Rule", "Severity", "Checked", "Failed"], rows, (2, 3))


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """A table of HTML cells; on a narrow screen each row becomes a card."""
    right = set(numbers)
    style = [' class="number"' if column in right else "" for column in range(len(titles))]
    head = "".join(f"<th{style[column]}>{title}</th>" for column, title in enumerate(titles))
    body = "\n".join(
        "<tr>"
        + "".join(f'<td{style[column]} data-label="{titles[column]}">{cell}</td>' for column, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f'<table class="cards"><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>\n'


def _chart(chart: Chart) -> str:
    return (
        f'<h2>{text_of(chart.title)}</h2>\n<figure class="chart"><picture>'
        f'<source media="(prefers-color-scheme: dark)" srcset="{_data_uri(chart.dark)}">'
        f'<img alt="{text_of(chart.title)}. {text_of(chart.caption)}" src="{_data_uri(chart.light)}"></picture>'
        f"<figcaption>{text_of(chart.caption)}</figcaption></figure>\n"
    )


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
            f'<figure><img alt="{text_of(offender.file)} with its boxes" src="{_data_uri(offender.png)}">'
            f"<figcaption>{text_of(offender.split)}: {text_of(offender.file)}{alone}"
            f"<ul>{''.join(items)}</ul></figcaption></figure>"
        )
    note = (
        '<p class="muted">Boxes with findings in red, others in blue; what lies outside an image is on its margin.</p>'
    )
    return f'<h2>Worst images</h2>\n{note}\n<div class="offenders">{"".join(figures)}</div>\n'


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"
