from __future__ import annotations

from pathlib import Path

import pytest
from markup import Page
from measured_formats import KEPT, LOST, MISSING, UNWRITTEN, formats, measured

from boxwright.errors import DataError
from boxwright.evaluation.format_records import FormatsSummary
from boxwright.evaluation.report.formats_page import TITLES, format_rows, write_formats_page

HOSTILE = '"><script>alert(1)</script>'


def test_every_format_stands_beside_the_model() -> None:
    model, kept, lost, unwritten = format_rows(formats(KEPT, LOST, UNWRITTEN))
    assert model == ("the model, in TensorFlow", "0.4000", "0.6000", "-", "-", "66.0", "60.0", "13.1", "-", "-")
    assert kept == (
        "litert:float32", "0.3980", "0.6000", "-0.0020", "-0.0030 to -0.0010", "14.3", "11.0", "3.6", "210", "kept",
    )  # fmt: skip
    assert lost[3] == "-0.0500" and lost[-1] == "dropped"
    assert set(unwritten[1:-1]) == {"-"} and len(unwritten) == len(TITLES)


def test_the_page_says_what_is_not_there_and_holds_no_script(tmp_path: Path) -> None:
    write_formats_page(tmp_path, formats(KEPT, LOST, UNWRITTEN, MISSING), HOSTILE)
    text = (tmp_path / "formats.html").read_text()
    page = Page(text)
    assert "script" not in page.tags and "alert(1)" in page.text and page.values("href") == ["formats.json"]
    for shown in (
        "litert:dynamic_int8 is dropped: AP 0.35 of 0.40.", "onnx:float32 is dropped: no converter <reads> it.",
        "openvino:float32 is left out: openvino is not installed.", "on 72 test images", "on 2 threads",
        "A format may lose 0.01 AP", "AP of each class",
    ):  # fmt: skip
        assert shown in page.text, shown


def test_a_run_without_other_formats_has_a_page_that_says_so(tmp_path: Path) -> None:
    write_formats_page(tmp_path, formats(), "detector")
    text = (tmp_path / "formats.html").read_text()
    assert "the model, in TensorFlow" in text and "AP of each class" not in text


def test_the_record_is_read_as_it_was_written_and_what_is_broken_named(tmp_path: Path) -> None:
    formats(KEPT, LOST).write(tmp_path)
    assert FormatsSummary.read(tmp_path) == formats(KEPT, LOST)
    assert FormatsSummary.read(tmp_path).kept == (KEPT,)
    assert measured(0.03).loss == pytest.approx(0.03)
    (tmp_path / "formats.json").write_text('{"split": "test"}')
    with pytest.raises(DataError, match="formats.json of Boxwright: 'images' is missing.*export the formats again"):
        FormatsSummary.read(tmp_path)
