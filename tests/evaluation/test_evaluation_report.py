"""The report: complete, self-contained, inert whatever the dataset holds, and well in a browser."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markup import Page
from PIL import Image
from test_metrics import synthetic

from boxwright.config import Gate
from boxwright.dataset.annotations.reading import Annotations
from boxwright.dataset.report.data import SplitBoxes
from boxwright.evaluation.analysis import Analysis, analyse
from boxwright.evaluation.comparison import compare
from boxwright.evaluation.detections import Detections
from boxwright.evaluation.files import CHART_PICTURES, REPORT_PAGE
from boxwright.evaluation.gate import check_gate
from boxwright.evaluation.gate_records import GateReport
from boxwright.evaluation.metrics import Measurement
from boxwright.evaluation.records import BeatenChampion, EvaluationSummary, Speed
from boxwright.evaluation.report.charts import draw_charts
from boxwright.evaluation.report.galleries import draw_pairs, sample_images, worst_images
from boxwright.evaluation.report.page import Background, write_report

HOSTILE = '"><script>alert(1)</script>\u202egpj.\x00\n&lt;$x^{$'
HISTORY = [
    {"epoch": float(number), "loss": 2.0 - number, "val_loss": 2.1 - number}
    | ({"AP": 0.3, "AP50": 0.5} if number else {})
    for number in range(2)
]
SPEED = Speed(
    latency_ms=31.5, latency_p95_ms=40.0, images_per_second=50.0, batch_size=8, size_bytes=2_000_000, device="CPU"
)


def written(folder: Path, annotations: Annotations, results: list[dict[str, Any]], title: str = "a model") -> Page:
    """A report with everything in it, on grey pictures."""
    measurement = Measurement(annotations, Detections.of_results(annotations, results), voc=True)
    champion = Measurement(annotations, Detections.of_results(annotations, results[::2]))
    metrics, beaten = (one.metrics.model_dump(exclude={"per_class", "threshold"}) for one in (measurement, champion))
    evaluation = EvaluationSummary(
        split="test",
        threshold=measurement.threshold,
        metrics=metrics,
        per_class=measurement.metrics.per_class,
        speed=SPEED,
        champion=BeatenChampion(reference=title, metrics=beaten),
        comparison=compare(champion, measurement, title),
    )
    analysis: Analysis = analyse(measurement)
    gate: GateReport = check_gate(evaluation, Gate(min_ap=0.99, must_beat_champion=0.0))
    chosen = {"worst": worst_images(analysis, 4), "sample": sample_images(measurement, 3)}
    grey = io.BytesIO()
    Image.new("RGB", (640, 480), (150, 150, 150)).save(grey, "JPEG")
    pairs = draw_pairs(measurement, analysis, dict.fromkeys([*chosen["worst"], *chosen["sample"]], grey.getvalue()))
    galleries = {name: [pairs[key] for key in keys] for name, keys in chosen.items()}
    background = Background(
        title, {title: title}, {"epochs": 3, "gate": {"min_ap": title}, title: title}, HISTORY,
        {"training": SplitBoxes.of_records(annotations)}, links=(title,),
    )  # fmt: skip
    write_report(folder, evaluation, analysis, galleries, background, gate)
    return Page((folder / REPORT_PAGE).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    annotations, results = synthetic(0)
    return written(folder, annotations, results)


def test_it_says_all_there_is_to_say(page: Page) -> None:
    annotations, results = synthetic(0)
    measured = Measurement(annotations, Detections.of_results(annotations, results)).metrics
    for value in (measured.AP, measured.AP50, measured.F1, measured.threshold):
        assert f"{value:.3f}" in page.text
    for name, metrics in measured.per_class.items():
        assert name in page.text and (metrics.AP is None or f"{metrics.AP:.3f}" in page.text)
    for text in (
        "does not pass its gate", "at least 0.99 is required", "too low", "Champion", "95 % interval", "31.5 ms",
        "2.0 MB", "localisation", "Images with most errors", "A random sample", "Labels worth a second look",
        "Confusion matrix", "Confidence calibration", "Learning curves", "Boxes of each class", "gate.min_ap",
    ):  # fmt: skip
        assert text in page.text, text


def test_it_is_one_file_that_loads_nothing(page: Page, folder: Path) -> None:
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    sources = page.values("src") + page.values("srcset")
    assert sources and all(
        source.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for source in sources
    )
    assert all(len(text) > 20 for text in page.values("alt")) and page.tags.count("img") == len(page.values("alt"))
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    assert any("default-src 'none'" in value for value in page.values("content"))
    ids, links = set(page.values("id")), [value for value in page.values("href") if value.startswith("#")]
    assert {link[1:] for link in links} <= ids
    assert {path.name for path in folder.iterdir()} == {REPORT_PAGE, *CHART_PICTURES.values()}
    for name in CHART_PICTURES.values():
        with Image.open(folder / name) as picture:
            assert picture.format == "PNG" and picture.mode == "RGB"


def test_hostile_names_are_text(page: Page, tmp_path: Path) -> None:
    annotations, results = synthetic(0)
    images = tuple(replace(image, file_name=HOSTILE + image.file_name) for image in annotations.images)
    names = {key: f"{HOSTILE}{key}" for key in annotations.categories}
    found = written(tmp_path, replace(annotations, images=images, categories=names), results, HOSTILE)
    text = (tmp_path / REPORT_PAGE).read_text(encoding="utf-8")
    assert "<script" not in text and "\u202e" not in text and "\x00" not in text
    assert set(found.tags) <= {*page.tags, "br"}
    assert {(tag, name) for tag, name, _ in found.attributes} <= {(tag, name) for tag, name, _ in page.attributes}
    shown = '"><script>alert(1)</script>\\u202egpj.\\x00\\n&lt;$x^{$'
    for place in (
        f"Evaluation of {shown}",
        f"The champion is {shown}",
        f"Beside this page: {shown}.",
        f"gate.min_ap{shown}",
    ):
        assert place in found.text, place
    assert found.text.count(shown) > 20 and shown in found.values("href")
    assert sum(shown in alt for alt in found.values("alt")) >= 7, "the pictures' file names"


def look_at(browser: Any, folder: Path, width: int, scheme: str) -> tuple[Any, list[str]]:
    """The page in a window, and everything that a browser complains about or asks for elsewhere."""
    view = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    trouble: list[str] = []
    view.on("console", lambda message: trouble.append(message.text))
    view.on("pageerror", lambda error: trouble.append(str(error)))
    view.on("request", lambda request: request.url.startswith(("file:", "data:")) or trouble.append(request.url))
    view.goto((folder / REPORT_PAGE).as_uri())
    return view, trouble


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (390, "light")])
def test_a_browser_shows_it_whole(browser: Any, page: Page, folder: Path, width: int, scheme: str) -> None:
    view, trouble = look_at(browser, folder, width, scheme)
    assert view.evaluate("[...document.images].filter(one => !one.complete || !one.naturalWidth).length") == 0
    assert view.evaluate("document.images.length") == page.tags.count("img")
    assert view.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out at the side"
    paper = view.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(13, 17, 23)" if scheme == "dark" else "rgb(255, 255, 255)")
    assert trouble == []


def test_a_picture_opens_large_and_closes_again(browser: Any, page: Page, folder: Path) -> None:
    view, _ = look_at(browser, folder, 1200, "light")
    small = view.evaluate("document.querySelector('#worst-0 img').clientWidth")
    view.click("#worst-0 img")
    assert view.evaluate("document.querySelector('#worst-0 img').clientWidth") > 3 * small
    view.click("#worst-0 .close")
    assert view.evaluate("document.querySelector('#worst-0 img').clientWidth") == small


def test_each_learning_curve_shows_its_own_numbers() -> None:
    analysis = analyse(Measurement(*_small()))
    whole = draw_charts(analysis, HISTORY)["learning"]
    assert "validation loss 2.100 after the first, 1.100 after the last" in whole.caption
    other = draw_charts(analysis, [HISTORY[0], HISTORY[1] | {"AP": 0.9}])["learning"]
    without = draw_charts(analysis, [{"epoch": 0.0, "loss": 1.0, "val_loss": 1.0}])["learning"]
    assert len({whole.light, other.light, without.light, whole.dark}) == 4
    assert draw_charts(analysis, HISTORY)["learning"] == whole, "equal numbers give equal bytes"
    assert "learning" not in draw_charts(analysis, [])


def _small() -> tuple[Annotations, Detections]:
    annotations, results = synthetic(0)
    return annotations, Detections.of_results(annotations, results[:20])
