"""The page of the formats that a model was written in, beside the model: one HTML file without scripts."""

from __future__ import annotations

from pathlib import Path

from boxwright.evaluation import FORMATS_PAGE, FormatRecord, FormatsSummary, MeasuredFormat
from boxwright.reporting import render
from boxwright.storage import write_atomic

TITLES = (
    "Format", "AP", "AP50", "AP to the model", "95 % interval", "ms an image", "ms in the network", "MB", "Memory, MB",
    "Result",
)  # fmt: skip


def write_formats_page(folder: Path, summary: FormatsSummary, title: str) -> None:
    """Writes `formats.html`.

    Args:
        folder: where to write.
        summary: what was measured.
        title: of the model, for people.
    """
    measured = [(one.name, one.measured) for one in summary.formats if one.measured]
    page = render(
        __name__.rpartition(".")[0],
        "formats.html",
        title=title,
        summary=summary,
        titles=TITLES,
        rows=format_rows(summary),
        class_titles=["Class", *(name for name, _ in measured)],
        class_rows=_class_rows(measured),
        threads=next((one.threads for _, one in measured), None),
        reasons=[one for one in summary.formats if one.reason],
        links=[FormatsSummary.FILE],
    )
    write_atomic(folder / FORMATS_PAGE, page)


def format_rows(summary: FormatsSummary) -> list[tuple[str, ...]]:
    """A row of cells in the order of `TITLES` for the model itself and for each format."""
    model = summary.model
    own = (
        "the model, in TensorFlow",
        _number(model.AP),
        _number(model.AP50),
        *("-", "-"),
        _number(model.latency_ms, ".1f"),
        _number(model.network_ms, ".1f"),
        _number(model.size_bytes and model.size_bytes / 1e6, ".1f"),
        *("-", "-"),
    )
    return [own, *(_row(one) for one in summary.formats)]


def _row(record: FormatRecord) -> tuple[str, ...]:
    measured = record.measured
    if measured is None:
        return (record.name, *("-" for _ in TITLES[1:-1]), record.status)
    found = measured.difference
    return (
        record.name,
        _number(measured.AP),
        _number(measured.AP50),
        _number(found.difference, "+.4f"),
        "-" if found.low is None else f"{found.low:+.4f} to {found.high:+.4f}",
        _number(measured.latency_ms, ".1f"),
        _number(measured.network_ms, ".1f"),
        _number(measured.size_bytes / 1e6, ".1f"),
        _number(measured.memory_bytes and measured.memory_bytes / 1e6, ".0f"),
        record.status,
    )


def _class_rows(measured: list[tuple[str, MeasuredFormat]]) -> list[list[str]]:
    """Each class with its AP to the model's in every format."""
    names = list(dict.fromkeys(name for _, one in measured for name in one.per_class))
    return [[name, *(_number(one.per_class[name].difference, "+.4f") for _, one in measured)] for name in names]


def _number(value: float | None, form: str = ".4f") -> str:
    return "-" if value is None else format(value, form)
