"""The dataset browser over real files: what it shows, filters, tells, and does not hand out."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tinyset

from boxwright.config import parse_config
from boxwright.dataset.validation import validate_annotations
from boxwright.errors import DataError

DAG_ID = "object_detection_training"
HOSTILE = "<img src=x onerror=alert(1)>.jpg"


@pytest.fixture
def look(visit: Callable[..., Any]) -> Callable[..., str]:
    def look(address: str, status: int = 200, **query: Any) -> str:
        answer = visit("viewer").get(address, params=query or None)
        assert answer.status_code == status, answer.text
        return str(answer.text)

    return look


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two splits: three images with a cat and a dog each, and thirty of which some have a dog and some nothing."""
    tinyset.write(tmp_path / "set" / "training")
    many = tinyset.document(30, first=100)
    many["annotations"] = [one for one in many["annotations"] if one["category_id"] == 7][:20]
    tinyset.write(tmp_path / "set" / "validation", many)
    return tmp_path / "set"


def shown(page: str) -> list[str]:
    return [html.unescape(name) for name in re.findall(r'<img [^>]*alt="([^"]*)"', page)]


def test_a_dataset_is_seen_before_anything_is_trained(dataset: Path, look: Any, visit: Any) -> None:
    page = look("/browse", dataset=str(dataset))
    assert shown(page) == ["p0.jpg", "p1.png", "p2.jpg"]
    assert '<rect x="1.0" y="2.0" width="19.0" height="23.0"' in page and "<title>cat</title>" in page
    assert "cat: 3 images" in page and "(without boxes)" not in page
    source = re.search(r'<img src="/boxwright(/browse/image[^"]+)"', page)
    assert source
    picture = visit("viewer").get(html.unescape(source[1]))
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content == (dataset / "training" / "images" / "p0.jpg").read_bytes()


def test_it_is_filtered_and_turned_page_by_page(dataset: Path, look: Any) -> None:
    where = {"dataset": str(dataset), "split": "validation"}
    page = look("/browse", **where)
    assert len(shown(page)) == 24 and "30 of 30 images, page 1 of 2" in page
    following = re.search(r'<a href="/boxwright([^"]+)" rel="next"', page)
    assert following and len(shown(look(html.unescape(following[1])))) == 6
    assert len(shown(look("/browse", **where, label="dog"))) == 20
    assert len(shown(look("/browse", **where, label="(without boxes)"))) == 10
    assert shown(look("/browse", **where, label="cat")) == []
    look("/browse", status=404, dataset=str(dataset), split="test")


def test_broken_records_are_told_and_hide_no_others(dataset: Path, look: Any) -> None:
    file = dataset / "training" / "annotations.json"
    content = json.loads(file.read_text())
    content["annotations"] += [
        {"image_id": 10, "bbox": [9, 9, 9, 9], "category_id": 3},
        {"image_id": 99, "bbox": [1, 1, 9, 9], "category_id": 3},
        {"image_id": 11, "bbox": [1, 1, 9, 9], "category_id": 5},
    ]
    content["images"].append({"id": 50, "file_name": HOSTILE, "width": 40, "height": 30})
    file.write_text(json.dumps(content))
    page = look("/browse", dataset=str(dataset))
    assert shown(page) == ["p0.jpg", "p1.png", "p2.jpg", HOSTILE] and "<img src=x" not in page
    assert "annotations[6] of p0.jpg: no area that can be drawn" in page
    assert "annotations[7]" in page and "unknown class 5" in page


def test_boxes_of_the_other_format_are_drawn_and_told(dataset: Path, look: Any) -> None:
    file = dataset / "training" / "annotations.json"
    content = json.loads(file.read_text())
    for one in content["annotations"]:
        one["bbox"] = [20, 8, 15, 6]
    file.write_text(json.dumps(content))
    page = look("/browse", dataset=str(dataset))
    assert "boxes are drawn as coco, not as corners" in page
    assert '<rect x="20.0" y="8.0" width="15.0" height="6.0"' in page


def test_only_images_of_allowed_places_are_handed_out(
    dataset: Path, look: Any, monkeypatch: pytest.MonkeyPatch, visit: Any
) -> None:
    where = {"dataset": str(dataset), "split": "training"}
    (dataset / "training" / "images" / "p0.jpg").write_text("root:x:0:0")
    assert "neither JPEG nor PNG" in look("/browse/image", status=404, **where, file="p0.jpg")
    assert "names no image" in look("/browse/image", status=404, **where, file="../annotations.json")
    assert visit(None).get("/browse", params=where).status_code in (401, 403)
    monkeypatch.setenv("BOXWRIGHT_ALLOWED_URIS", "s3://elsewhere")
    for address in ("/browse", "/browse/image"):
        assert "BOXWRIGHT_ALLOWED_URIS" in look(address, status=403, **where, file="p1.png")


def test_a_run_shows_what_its_validation_found(dataset: Path, look: Any, make_run: Any) -> None:
    file = dataset / "training" / "annotations.json"
    content = json.loads(file.read_text())
    content["annotations"][2]["bbox"] = [1, 2, 60, 25]
    file.write_text(json.dumps(content))
    run = make_run("looked-at")
    config = parse_config({"training": str(dataset / "training"), "output": str(run.output)})
    with pytest.raises(DataError):
        validate_annotations(config, run.output)
    run.task("validate_annotations", "failed", report=True)
    address = f"/runs/{DAG_ID}/looked-at"
    assert f'href="/boxwright{address}/images"' in look(address)
    page = look(f"{address}/images")
    assert len(shown(page)) == 3 and "error: box_outside_image" in page
    assert shown(look(f"{address}/images", rule="box_outside_image")) == ["p1.png"]
