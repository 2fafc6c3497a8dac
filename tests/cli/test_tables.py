"""Tables of the command line: whole on a narrow terminal and in a pipe."""

from __future__ import annotations

import pytest
from rich.console import Console

from boxwright.cli import tables

RUN = "backfill__2026-01-12T03:00:00+00:00"
VERSION = "models:/object-detector/12"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def show(width: int | None) -> list[str]:
        def console(**options):
            return Console(
                **({"width": width, "force_terminal": True, "color_system": None} if width else {}) | options
            )

        monkeypatch.setattr(tables, "Console", console)
        rows = tables.table("version", "alias", "run", "archive")
        for alias in ("champion", "candidate"):
            rows.add_row(VERSION, alias, RUN, f"s3://boxwright/runs/{RUN}/output/model.tar.gz")
        tables.show_rows(rows)
        return capsys.readouterr().out.splitlines()

    return show


def test_where_it_does_not_fit_each_row_is_lines_that_can_be_copied(shown) -> None:
    lines = shown(80)
    assert lines[:3] == [f"version  {VERSION}", "alias    champion", f"run      {RUN}"]
    assert lines[3] == f"archive  s3://boxwright/runs/{RUN}/output/model.tar.gz" and lines[4] == ""
    assert len(lines) == 10


@pytest.mark.parametrize("width", [200, None])
def test_where_it_fits_each_row_is_a_line(shown, width: int | None) -> None:
    rows = [line for line in shown(width) if VERSION in line]
    assert len(rows) == 2 and all(RUN in row and row.count("model.tar.gz") == 1 for row in rows)
