"""The page: complete, self-contained, and inert whatever the dataset holds."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinyset
from hypothesis import given, settings
from hypothesis import strategies as st
from markup import Page
from PIL import Image

from boxwright.config import ValidationConfig
from boxwright.dataset.annotations.reading import load_annotations
from boxwright.dataset.annotations.records import Annotations, Box, ImageRecord
from boxwright.dataset.report.data import SplitBoxes
from boxwright.dataset.report.offenders import SHOWN_OFFENDERS, draw_offenders
from boxwright.dataset.report.page import SHOWN_FINDINGS, write_early_page, write_page
from boxwright.dataset.report.pictures import Anchors, best_overlap, draw_charts
from boxwright.dataset.validation.findings import Dropped, Finding, Report
from boxwright.dataset.validation.rules import RULES, rules_of

ANCHORS = Anchors(320, (24.0, 48.0, 96.0), (0.5, 1.0, 2.0))
HOSTILE = '"><script>alert(1)</script>\u202egpj.\x00\n&lt;$x^{$'


def empty_report(**config: Any) -> Report:
    return Report.start(rules_of(ValidationConfig(**config)), {})


def finding(rule: str, index: int | None, file: str | None, value: Any, where: str = "annotations") -> Finding:
    return Finding(rule, "", "training", where, index, file, value, RULES[rule].advice)


def boxes_of(*boxes: Sequence[float], count: int = 1, name: str = "p{}.jpg", classes: Any = None) -> SplitBoxes:
    """Boxes of the first of `count` images of 400 x 300 pixels."""
    images = tuple(ImageRecord(i, name.format(i), 400, 300) for i in range(count))
    records = tuple(Box(i, 0, tuple(box), 1) for i, box in enumerate(boxes))  # type: ignore[arg-type]
    return SplitBoxes.of_records(Annotations(images, records, classes or {1: "cat"}))


def page(folder: Path, report: Report, splits: dict[str, SplitBoxes], **options: Any) -> Page:
    write_page(folder / "page.html", report, splits, ANCHORS, **options)
    return Page((folder / "page.html").read_text(encoding="utf-8"))


def picture_of(png: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_a_clean_set(tmp_path: Path) -> None:
    report = empty_report()
    report.fingerprint = "ab" * 32
    report.splits["training"] = {"images": 1200, "boxes": 3400, "annotations": "s3://b/k/annotations.json"}
    report.checked("box_without_area", "training", 3400)
    found = page(tmp_path, report, {"training": boxes_of([10, 10, 90, 90])})
    for text in ("can be trained on", "ab" * 32, "1,200", "3,400", "s3://b/k/annotations.json", "None."):
        assert text in found.text
    assert all(name in found.text for name in RULES)
    assert "Worst images" not in found.text and "Dropped" not in found.text
    assert found.tags.count("img") == 3


def test_it_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    found = page(tmp_path, empty_report(), {"training": boxes_of([10, 10, 90, 90])})
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(found.tags)
    sources = found.values("src") + found.values("srcset")
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)
    assert all(b64decode(source.split(",")[1]).startswith(b"\x89PNG") for source in sources)
    assert not [name for _, name, _ in found.attributes if name.startswith("on") or name == "style"]
    assert "url(" not in (tmp_path / "page.html").read_text()
    assert any("default-src 'none'" in value for value in found.values("content"))
    assert any(value.startswith("width=device-width") for value in found.values("content"))
    assert "(prefers-color-scheme: dark)" in found.values("media")


def test_hostile_names_are_text(tmp_path: Path) -> None:
    report = empty_report()
    report.splits[HOSTILE] = {"images": 1, "boxes": 1, "annotations": HOSTILE, "unused_files": HOSTILE}
    report.add(finding("box_without_area", 0, HOSTILE, HOSTILE))
    report.add(finding("image_size_mismatch", 0, HOSTILE, {HOSTILE: [HOSTILE]}, "images"))
    report.findings = [replace(found, advice=HOSTILE) for found in report.findings]
    report.dropped = [Dropped("training", "images", 0, HOSTILE, HOSTILE)]
    clean = page(tmp_path, empty_report(), {"training": boxes_of([1, 1, 50, 50])})
    splits = {"training": boxes_of([1, 1, 1, 9], [1, 1, 50, 50], name=HOSTILE.replace("{", "{{") + "{}")}
    splits["training"] = replace(splits["training"], files=[HOSTILE], categories={1: HOSTILE})
    found = page(tmp_path, report, splits)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in text and "\u202e" not in text and "\x00" not in text
    assert set(found.tags) <= {*clean.tags, "br", "div", "span", "ul", "li"}
    assert {(tag, name) for tag, name, _ in found.attributes} <= {
        *((tag, name) for tag, name, _ in clean.attributes),
        *((tag, "class") for tag in ("span", "li", "code", "div")),
    }
    assert found.text.count('"><script>alert(1)</script>\\u202egpj.\\x00\\n&lt;$x^{$') >= 6


def test_errors_come_first_and_the_rest_is_counted(tmp_path: Path) -> None:
    report = empty_report()
    for i in range(SHOWN_FINDINGS + 9):
        report.add(finding("box_too_small", i, "p0.jpg", [i, 0, i + 1, 1]))
    report.add(finding("box_without_area", 9_999, "p0.jpg", [5, 5, 5, 5]))
    found = page(tmp_path, report, {"training": boxes_of([1, 1, 50, 50])})
    assert "not usable as it is: 1 error." in found.text and "209 warnings" in found.text
    assert found.text.index("annotations[9999]") < found.text.index("annotations[0]")
    assert f"annotations[{SHOWN_FINDINGS - 2}]" in found.text
    assert f"annotations[{SHOWN_FINDINGS - 1}]" not in found.text
    assert "And 10 more" in found.text


def test_dropped_records_are_listed_and_do_not_count_as_errors(tmp_path: Path) -> None:
    report = empty_report()
    report.add(finding("box_without_area", 1, "p0.jpg", [5, 5, 5, 5]))
    report.drop([Dropped("training", "annotations", 1, "p0.jpg", "box_without_area")])
    found = page(tmp_path, report, {"training": boxes_of([1, 1, 50, 50])})
    assert "can be trained on" in found.text and "1 record dropped" in found.text


def test_the_worst_are_drawn_with_their_bad_boxes(tmp_path: Path) -> None:
    splits = {"training": boxes_of([100, 100, 100, 100], [200, 50, 300, 200], [300, 200, 500, 290], count=20)}
    report = empty_report()
    for i in range(1, 20):
        report.add(finding("image_grayscale", i, f"p{i}.jpg", "mode L", "images"))
    report.add(finding("box_without_area", 0, "p0.jpg", [100, 100, 100, 100]))
    report.add(finding("box_outside_image", 2, "p0.jpg", [300, 200, 500, 290]))
    (tmp_path / "images").mkdir()
    Image.new("RGB", (400, 300), (0, 200, 0)).save(tmp_path / "images" / "p0.jpg")
    offenders = draw_offenders(report.findings, splits, {"training": tmp_path / "images"})
    assert len(offenders) == SHOWN_OFFENDERS and offenders[0].file == "p0.jpg"
    assert offenders[0].has_picture and not offenders[1].has_picture
    drawn = picture_of(offenders[0].png)
    red = (drawn[..., 0] > 180) & (drawn[..., 1] < 120)
    green = (drawn[..., 1] > 150) & (drawn[..., 0] < 60)
    blue = (drawn[..., 2] > 180) & (drawn[..., 0] < 140)
    assert red.any() and green.mean() > 0.5 and blue.any()
    rows, columns = np.nonzero(red)
    scale, margin = 360 / 448, 20  # 400 pixels and two margins of 24 on 360
    assert columns.max() > margin + 400 * scale  # the box outside the image is seen there
    ring = red[round(margin + 100 * scale) - 10 : round(margin + 100 * scale) + 11, : round(margin + 120 * scale)]
    assert ring.sum() > 20  # a box without area is ringed
    assert rows.min() > margin


def test_a_box_that_is_not_in_the_records_is_drawn_from_its_finding() -> None:
    report = empty_report()
    report.add(finding("box_without_area", 7, "p0.jpg", [200, 150, 200, 150]))
    (offender,) = draw_offenders(report.findings, {"training": boxes_of([1, 1, 50, 50])}, {})
    drawn = picture_of(offender.png)
    assert ((drawn[..., 0] > 180) & (drawn[..., 1] < 120)).sum() > 20


@pytest.mark.parametrize("rule", ["image_undecodable", "image_too_large"])
def test_dangerous_images_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    Image.new("RGB", (400, 300), (0, 200, 0)).save(tmp_path / "p0.jpg")
    report = empty_report()
    report.add(finding(rule, 0, "p0.jpg", "x", "images"))
    (offender,) = draw_offenders(report.findings, {"training": boxes_of([1, 1, 50, 50])}, {"training": tmp_path})
    assert not offender.has_picture


def test_anchors_that_fit_and_those_that_do_not() -> None:
    width, height = np.array([24, 48 / 2**0.5, 8, 320], np.float32), np.array([24, 48 * 2**0.5, 8, 2], np.float32)
    overlap = best_overlap(width, height, ANCHORS)
    assert overlap[:2] == pytest.approx([1, 1], abs=1e-5)
    assert overlap[2] == pytest.approx(8 * 8 / 24**2)
    assert overlap[3] < 0.1


def test_the_captions_tell_what_the_charts_show() -> None:
    fits, tiny = [40.0, 30, 70, 52.5], [40.0, 30, 44, 33]  # 24 and 3.2 pixels at an input of 320
    split = boxes_of(fits, fits, fits, tiny, [0, 0, 0, 0], [np.nan, 0, 1, 1])
    _, without_anchors, _ = draw_charts({"training": split}, Anchors(320))
    assert without_anchors.caption.endswith("at the model's input of 320 px.")
    classes, shapes, places = draw_charts({"training": split}, ANCHORS)
    assert "1 class; boxes: 6 in training" in classes.caption
    assert "input of 320 px" in shapes.caption and "25.0% of the boxes" in shapes.caption
    assert "4 boxes" in places.caption
    assert classes.light != classes.dark
    assert "pixels of the images" in draw_charts({"training": split}, None)[1].caption


def test_the_early_page_reads_the_files_and_goes_without_those_it_cannot(tmp_path: Path) -> None:
    source = tinyset.write(tmp_path / "set")
    (tmp_path / "broken.json").write_bytes(b"{")
    report = empty_report()
    report.splits["training"] = {"annotations": str(source / "annotations.json"), "bbox_format": "corners"}
    report.splits["test"] = {"annotations": str(tmp_path / "broken.json"), "bbox_format": None}
    report.add(finding("box_too_small", 1, "p0.jpg", [10.5, 0, 40, 30]))
    write_early_page(tmp_path / "page.html", report)
    found = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "boxes: 6 in training." in found.text and "the image was not read" in found.text
    records = SplitBoxes.of_records(load_annotations(source / "annotations.json"))
    columns = SplitBoxes.of_file("training", str(source / "annotations.json"), "corners")
    for name in ("sizes", "owners", "corners", "category_ids", "indices"):
        assert np.array_equal(getattr(records, name), getattr(columns, name)), name
    assert (records.files, records.categories) == (columns.files, columns.categories)


numbers = st.one_of(st.floats(), st.floats(-50, 450), st.sampled_from([0.0, 1e-300, 1e308, -0.0, 2.0**63]))


@settings(max_examples=25, deadline=None)
@given(
    boxes=st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=6),
    classes=st.dictionaries(st.integers(0, 2**62), st.text(max_size=20), max_size=4),
    value=st.one_of(st.none(), st.text(), numbers, st.lists(st.one_of(numbers, st.text()), max_size=5)),
)
def test_no_content_breaks_it(
    tmp_path_factory: pytest.TempPathFactory, boxes: list[Any], classes: dict[int, str], value: Any
) -> None:
    report = empty_report()
    for index in range(len(boxes) + 1):
        report.add(finding("box_without_area", index, "p0.jpg", value))
    folder = tmp_path_factory.mktemp("page")
    splits = {"training": boxes_of(*boxes, classes=classes), "test": boxes_of()}
    (found,) = draw_offenders(report.findings, splits, {"training": folder})
    assert picture_of(found.png).shape[2] == 3
    assert len(page(folder, report, splits).text) > 500


def test_an_empty_set_has_a_page(tmp_path: Path) -> None:
    assert "Dataset validation" in page(tmp_path, empty_report(), {}).text
    nothing = SplitBoxes.of_records(Annotations((), (), {}))
    assert "boxes: 0 in training" in page(tmp_path, empty_report(), {"training": nothing}).text
    assert re.search(r"0\s*classes", page(tmp_path, empty_report(), {"training": nothing}).text)
