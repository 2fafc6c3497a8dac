from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import tinyset
from hypothesis import given
from hypothesis import strategies as st
from seaweed import Seaweed

from boxwright.dataset.annotations.reading import (
    Annotations,
    Box,
    ImageRecord,
    adopt_classes,
    annotations_uri,
    class_faults,
    load_annotations,
    parse_annotations,
    save_annotations,
)
from boxwright.errors import BoxwrightError, DataError


def parse(content: Any) -> Annotations:
    return parse_annotations(json.dumps(content).encode(), "set/annotations.json")


def fault(content: Any) -> str:
    with pytest.raises(DataError) as caught:
        parse(content)
    text = str(caught.value)
    assert text.startswith("set/annotations.json: ") and "\n" not in text
    return text


def test_records() -> None:
    found = parse(tinyset.document(1))
    assert found.images == (ImageRecord(10, "p0.jpg", 40, 30),)
    assert found.boxes == (Box(0, 10, (1, 2, 20, 25), 3), Box(1, 10, (10.5, 0, 40, 30), 7))
    assert (found.classes, found.category_ids) == (("cat", "dog"), (3, 7))
    assert found.boxes_by_image == {10: list(found.boxes)}


def test_without_categories_the_ids_give_the_names() -> None:
    content = tinyset.document(1)
    del content["categories"]
    found = parse(content)
    assert (found.classes, found.category_ids, found.named) == (("class_3", "class_7"), (3, 7), False)


def test_classes_are_in_the_order_of_ids_not_of_the_file() -> None:
    content = tinyset.document(1)
    content["categories"].reverse()
    assert parse(content).classes == ("cat", "dog")


def test_byte_order_mark_and_unknown_keys_are_taken() -> None:
    content = {**tinyset.document(1), "info": {"year": 2024}}
    assert parse_annotations(b"\xef\xbb\xbf" + json.dumps(content).encode(), "x") == parse(tinyset.document(1))


def test_round_trip(tmp_path: Path) -> None:
    found = parse(tinyset.document())
    save_annotations(found, tmp_path / "a.json")
    assert load_annotations(tmp_path / "a.json") == found


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"images": [],\n "annotations": [}', r"line 2, column 18"),
        (b"", "line 1, column 1"),
        (b'{"images": "\xff"}', "not UTF-8 at byte 12"),
        (b"[]", "expected an object with images and annotations, got list"),
        (b'{"images": []}', "expected a list annotations, got nothing"),
        (b'{"images": {}, "annotations": []}', "expected a list images, got dict"),
        (b'{"images": [], "annotations": [], "categories": null}', "expected a list categories, got NoneType"),
        (b'{"images": [], "annotations": []}', "images is empty"),
        (b"[" * 100_000, "not usable JSON"),
        (b'{"images": ' + b"9" * 5000 + b"}", "not usable JSON"),
    ],
)
def test_unusable_bytes(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        parse_annotations(data, "a.json")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("where", "key", "value", "message"),
    [
        ("images", "id", "1", "id must be an integer"),
        ("images", "id", True, "id must be an integer"),
        ("images", "id", -1, "id must be an integer from 0"),
        ("images", "width", 0, "width must be an integer from 1"),
        ("images", "height", 30.0, "height must be an integer"),
        ("images", "height", math.nan, "height must be an integer"),
        ("images", "file_name", 5, "file_name must be text"),
        ("images", "file_name", "../p0.jpg", "could leave the folder"),
        ("images", "file_name", "/etc/p0.jpg", "absolute path"),
        ("images", "file_name", "p\n0.jpg", "control character"),
        ("images", "file_name", "p\x000.jpg", "control character"),
        ("images", "file_name", "\ud800.jpg", "broken Unicode"),
        ("images", "file_name", "a\\p.jpg", "backslash"),
        ("images", "file_name", "p0.gif", ".jpg, .jpeg, .png"),
        ("images", "file_name", "p0", ".jpg, .jpeg, .png"),
        ("annotations", "bbox", [1, 2, 3], "four numbers"),
        ("annotations", "bbox", [1, 2, 3, "4"], "four numbers"),
        ("annotations", "bbox", [1, 2, 3, None], "four numbers"),
        ("annotations", "bbox", {"xmin": 1}, "four numbers"),
        ("annotations", "bbox", [1, 2, 3, math.nan], "box_not_finite"),
        ("annotations", "bbox", [1, 2, 3, 10**400], "box_not_finite"),
        ("annotations", "category_id", "cat", "category_id must be an integer"),
        ("annotations", "category_id", 4, r"category_id_unknown, got 4; use one of the ids \[3, 7\]"),
        ("annotations", "image_id", 99, "image_id is that of no image"),
        ("annotations", "image_id", None, "image_id must be an integer"),
        ("categories", "name", "", "name must be printable text"),
        ("categories", "name", "a\nb", "name must be printable text"),
        ("categories", "id", None, "id must be an integer"),
    ],
)
def test_a_bad_value_is_named_with_its_place(where: str, key: str, value: Any, message: str) -> None:
    content = tinyset.document()
    content[where][1][key] = value
    text = fault(content)
    assert f"{where}[1]" in text
    pytest.raises(DataError, parse, content).match(message)


@pytest.mark.parametrize("key", ["id", "file_name", "width", "height"])
def test_missing_key(key: str) -> None:
    content = tinyset.document()
    del content["images"][2][key]
    assert "images[2]" in fault(content) and key in fault(content)


@pytest.mark.parametrize(
    ("where", "key"), [("images", "id"), ("images", "file_name"), ("categories", "id"), ("categories", "name")]
)
def test_duplicates(where: str, key: str) -> None:
    content = tinyset.document()
    content[where][1][key] = content[where][0][key]
    assert f"{key} is that of {where}[0] already" in fault(content)


def test_not_an_object() -> None:
    content = tinyset.document()
    content["annotations"][0] = [1, 2, 3, 4]
    assert "annotations[0]" in fault(content) and "expected an object" in fault(content)


def test_every_fault_is_counted_and_ten_are_shown() -> None:
    content = tinyset.document(20)
    for box in content["annotations"]:
        box["bbox"] = None
    text = fault(content)
    assert "40 bad records" in text and "annotations[9]" in text and "annotations[10]" not in text
    assert text.endswith("and 30 more")


def test_a_bad_image_is_not_reported_again_for_its_boxes() -> None:
    content = tinyset.document()
    content["images"][1]["width"] = 0
    assert "1 bad record:" in fault(content)


def test_a_huge_value_does_not_fill_the_message() -> None:
    content = tinyset.document()
    content["images"][0]["file_name"] = "x" * 1_000_000
    content["images"][1]["id"] = {str(i): i for i in range(1000)}
    assert len(fault(content)) < 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "bbox", "file_name"]), inner),
    max_leaves=8,
)


@given(
    where=st.sampled_from(["images", "annotations", "categories"]),
    key=st.sampled_from(["id", "file_name", "width", "height", "image_id", "bbox", "category_id", "name"]),
    value=JSON,
)
def test_any_json_gives_records_or_a_typed_error_in_one_line(where: str, key: str, value: Any) -> None:
    content = tinyset.document()
    content[where][0][key] = value
    try:
        found = parse(content)
    except BoxwrightError as error:
        assert isinstance(error, DataError) and str(error).isprintable()
    else:
        assert {box.image_id for box in found.boxes} <= {image.id for image in found.images}
        assert {box.category_id for box in found.boxes} <= set(found.categories)


def test_later_splits_may_lack_classes_but_not_add_or_rename_any() -> None:
    training, fewer, unnamed, more = (tinyset.document() for _ in range(4))
    fewer["categories"] = fewer["categories"][:1]
    fewer["annotations"] = [box for box in fewer["annotations"] if box["category_id"] == 3]
    del unnamed["categories"]
    more["categories"] = [{"id": 3, "name": "kitten"}, {"id": 7, "name": "dog"}, {"id": 8, "name": "cow"}]
    read = {"training": parse(training), "validation": parse(fewer), "test": parse(unnamed)}
    assert class_faults(read) == []
    assert adopt_classes(read)["test"].classes == ("cat", "dog")
    texts = [str(found) for found in class_faults({"training": parse(training), "test": parse(more)})]
    assert len(texts) == 2 and "kitten" in texts[0] and "cow" in texts[1]


def test_annotations_uri_falls_back_to_the_default_name_and_says_so(
    tmp_path: Path, s3: Seaweed, caplog: pytest.LogCaptureFixture
) -> None:
    tinyset.write(tmp_path / "a")
    tinyset.write(tmp_path / "a", name="clean.json")
    tinyset.write(tmp_path / "b")
    uri = s3.make_bucket("annotations-uri")
    s3.put_tree(tmp_path, uri)
    for root in (str(tmp_path), uri):
        assert annotations_uri(f"{root}/a") == f"{root}/a/annotations.json"
        assert annotations_uri(f"{root}/a", "clean.json") == f"{root}/a/clean.json"
        assert caplog.messages == []
        assert annotations_uri(f"{root}/b", "clean.json") == f"{root}/b/annotations.json"
        assert caplog.messages == [f"{root}/b/clean.json is not there; {root}/b/annotations.json is taken"]
        caplog.clear()
        with pytest.raises(
            DataError, match="/c/clean.json does not exist; expected clean.json beside a folder images/"
        ):
            annotations_uri(f"{root}/c", "clean.json")
