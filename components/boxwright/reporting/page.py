"""The page of a report: one HTML file without scripts, for a mail, a bucket or a browser."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from boxwright.reporting.charts import Chart

_LONGEST_TEXT = 400

STYLE = """
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
  .cards td:empty { display: none; }
  .cards td[data-label]::before { content: attr(data-label) ": "; color: var(--muted); } }
"""


def document(title: str, parts: Iterable[str], style: str = "") -> bytes:
    """The whole page; it loads nothing from anywhere, and says so to the browser.

    Args:
        title: of the window.
        parts: HTML of the body, in which all that comes from others is escaped.
        style: CSS beside that of all pages.
    """
    text = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{text_of(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f"<style>{STYLE}{style}</style></head>\n<body>\n{''.join(parts)}</body></html>\n"
    )
    return text.encode()


def text_of(value: Any) -> str:
    """`value` as HTML text: escaped, cut where it is long, and with nothing in it that moves or hides other text."""
    raw = value if isinstance(value, str) else str(value)
    shown = raw if len(raw) <= _LONGEST_TEXT else f"{raw[: _LONGEST_TEXT - 3]}..."
    visible = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in shown)
    return escape(visible, quote=True)


def count_of(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it is one."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def long_text(value: Any) -> str:
    """Text that may be broken anywhere: URIs and file names."""
    return f'<span class="any">{text_of(value)}</span>'


def number(value: Any) -> str:
    """A cell of a table: a count with thousands set apart, `-` where there is none."""
    return f"{value:,}" if isinstance(value, int) else text_of("-" if value is None else value)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
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


def chart_figure(chart: Chart) -> str:
    """A chart under its title, light or dark as the page is."""
    return (
        f'<h2>{text_of(chart.title)}</h2>\n<figure class="chart"><picture>'
        f'<source media="(prefers-color-scheme: dark)" srcset="{data_uri(chart.dark)}">'
        f'<img alt="{text_of(chart.title)}. {text_of(chart.caption)}" src="{data_uri(chart.light)}"></picture>'
        f"<figcaption>{text_of(chart.caption)}</figcaption></figure>\n"
    )


def data_uri(picture: bytes, kind: str = "png") -> str:
    """A picture as an address that holds it."""
    return f"data:image/{kind};base64,{b64encode(picture).decode()}"
