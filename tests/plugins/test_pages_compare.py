"""Versions side by side, and the datasets behind them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from boxwright.dataset.validation.findings import Dropped, Report
from boxwright.evaluation.records import GalleryEntry
from boxwright_airflow.pages.compare import differences, metric_rows, shared_images

Make = Callable[..., Any]
HOSTILE = "<svg onload=alert(1)>"


def test_two_versions_side_by_side(visit: Make, make_version: Make) -> None:
    make_version("run-1", "2026-03-01", 0.4, hyperparameters={"epochs": 3, "learning_rate": 0.003})
    make_version("run-2", "2026-03-02", 0.5, hyperparameters={"epochs": 9, "learning_rate": 0.003})
    text = visit("viewer").get("/compare?v=detector/1&v=detector/2").text
    assert re.search(r'AP</th><td class="number">0\.400</td><td class="number best">0\.500', text)
    assert text.count('<rect class="bar c1"') == 2 and text.count('<rect class="bar c2"') == 2
    settings = text[text.index("Only what differs") : text.index("The same images")]
    assert "epochs" in settings and "learning_rate" not in settings
    images = text[text.index("The same images") :]
    assert "shared.jpg" in images and "run-1.jpg" not in images
    for number in (1, 2):
        assert f'src="/boxwright/models/detector/{number}/gallery/0.jpg"' in images
    assert "different images" not in text


def test_other_images_are_warned_about_and_names_escaped(visit: Make, make_version: Make, tmp_path: Path) -> None:
    make_version("run-1", classes=[HOSTILE, "nut"])
    make_version("run-2", fingerprint="e" * 64, hyperparameters={"optimizer": HOSTILE})
    shutil.rmtree(tmp_path / "run-2")
    answer = visit("viewer").get("/compare?v=detector/1&v=detector/2")
    assert answer.status_code == 200
    assert "different images" in answer.text and "metrics.json cannot be read" in answer.text
    # From the registry's tags, where a count is a number like all others.
    assert re.search(r'images</th>(<td class="number">72</td>){2}', answer.text)
    assert "<svg onload" not in answer.text and "&lt;svg onload" in answer.text


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 422, "select two or more"),
        ("v=detector/1", 422, "select two or more"),
        ("v=detector/1&v=detector/1", 422, "select two or more"),
        ("v=detector/1&v=%3Cscript%3E", 422, "is not a version"),
        ("v=detector/1&v=detector/%C2%B2", 422, "is not a version"),
        ("v=detector/1&v=detector/9", 404, "has no version 9"),
        ("&".join(f"v=detector/{number}" for number in range(7)), 422, "at most 6"),
    ],
)
def test_what_cannot_be_compared_is_explained(
    visit: Make, make_version: Make, query: str, status: int, said: str
) -> None:
    make_version("run-1")
    answer = visit("viewer").get(f"/compare?{query}")
    assert answer.status_code == status and said in answer.text and "<script>" not in answer.text


def test_the_best_is_marked_by_what_better_means() -> None:
    rows = {
        row.name: row for row in metric_rows([{"AP": 0.5, "val_loss": 2.0, "images": 4}, {"AP": 0.5, "val_loss": 1.0}])
    }
    assert list(rows) == ["AP", "val_loss", "images"]
    assert (rows["AP"].best, rows["val_loss"].best, rows["images"].best) == (frozenset(), {1}, frozenset())


def test_settings_that_one_lacks_differ() -> None:
    assert differences([{"a": 1, "b": 2}, {"a": 1}]) == [("b", ("2", "-"))]


def test_images_of_all_come_before_images_of_some() -> None:
    def one(file: str, picture: int) -> GalleryEntry:
        return GalleryEntry(file=file, picture=picture)

    found = shared_images([[one("a", 0), one("b", 1), one("d", 2)], [one("b", 0), one("a", 1)], [one("b", 5)]])
    assert [row.file for row in found] == ["b", "a"]
    assert found[1].pictures == ((0, ""), (1, ""), None)


def write_counts(tmp_path: Path, run: str, splits: dict[str, Any], dropped: tuple[Dropped, ...] = ()) -> None:
    Report(splits=splits, dropped=list(dropped)).write(tmp_path / run / "output" / "validation_report.json")


def test_a_dataset_shows_its_content_its_models_and_what_changed(
    visit: Make, make_version: Make, tmp_path: Path
) -> None:
    make_version("run-1", "2026-03-01", fingerprint="a" * 64)
    make_version("run-2", "2026-03-02", fingerprint="b" * 64)
    make_version("run-3", "2026-03-03", fingerprint="b" * 64)
    make_version("run-4", "2026-03-02", fingerprint="c" * 64, model_name="other")
    training = {"images": 10, "boxes": 30, "classes": {"bolt": 20, HOSTILE: 10}, "annotations": "s3://data/a.json"}
    write_counts(tmp_path, "run-1", {"training": training})
    later = training | {"images": 12, "classes": {"bolt": 25}}
    write_counts(tmp_path, "run-3", {"training": later}, (Dropped("training", "images", 3, None, "image_missing"),))
    client = visit("viewer")
    listed = client.get("/datasets").text
    assert re.findall(r"<code>(\w)\w+</code>", listed) == ["b", "c", "a"]
    page = client.get(f"/datasets/{'b' * 64}").text
    assert "2 versions" in page and "detector 3" in page and "other 1" not in page
    assert "1 records dropped" in page and "s3://data/a.json" in page
    changes = page[page.index("Counts that changed") :]
    assert re.search(r'training: images</th><td class="number">10</td><td class="number">12</td>.*?\+2', changes)
    assert "&lt;svg onload" in changes and "-10" in changes and "<svg onload" not in page
    assert "training: boxes" not in changes
    assert "This is the first dataset" in client.get(f"/datasets/{'a' * 64}").text
    assert "Validation</title>" in client.get(f"/datasets/{'b' * 64}/validation").text


def test_a_dataset_without_its_reports_says_so(visit: Make, make_version: Make, tmp_path: Path) -> None:
    make_version("run-1")
    shutil.rmtree(tmp_path / "run-1")
    client = visit("viewer")
    page = client.get(f"/datasets/{'f' * 64}")
    assert page.status_code == 200 and "validation_report.json cannot be read" in page.text
    assert client.get(f"/datasets/{'f' * 64}/validation").status_code == 404
    assert client.get(f"/datasets/{'0' * 64}").status_code == 404


def test_no_dataset_yet(visit: Make, registry: Any) -> None:
    assert "No registered version names its dataset yet" in visit("viewer").get("/datasets").text
