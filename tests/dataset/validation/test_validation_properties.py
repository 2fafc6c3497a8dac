"""Mutated annotation files: never a traceback, always a verdict, and a verdict that holds.

Great Expectations costs the same for one split and for a hundred, so each example is a hundred files.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import tinyset
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from boxwright.config import parse_config
from boxwright.dataset.annotations.parsing import read_document
from boxwright.dataset.validation.checking import check_splits
from boxwright.dataset.validation.dropping import clean
from boxwright.dataset.validation.findings import Report
from boxwright.dataset.validation.model_input import ModelInput
from boxwright.dataset.validation.rules import RULES, rules_of
from boxwright.dataset.validation.split_data import SplitData
from boxwright.errors import DataError

FILES, EXAMPLES = 100, 21
CONFIG = parse_config(
    {"training": "a", "output": "b", "data_validation": {"on_invalid": "drop", "max_drop_share": 1, "format_share": 1}}
)


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


JUNK: list[Any] = [
    None, True, False, 0, -1, 1, 3, 10, 11, 2**31, 2**63 - 1, 2**63, -(2**70), 10**400, 0.0, -0.0, 1.5, 1e308, -1e308,
    float("nan"), float("inf"), float("-inf"), "", "x", "3", "p0.jpg", "p1.png", "../p.jpg", "/p.jpg", "a//b.png",
    "C:\\p.jpg", "\x00.jpg", "\ud800.jpg", "ä.jpeg", "x" * 400 + ".jpg", "x" * 100_000, [], {}, [[]], [1],
    [1, 2, 3, 4], [4, 3, 2, 1],
    [1, 2, 3, "4"], [1, 2, 3, None], [1, 2, 3, 4, 5], [1e308, 1e308, 1e308, 1e308], [-1e308, -1e308, 1e308, 1e308],
    [float("nan")] * 4, [0, 0, 40, 30], [0.1, 0.1, 0.2, 0.2], [True, False, True, True], [10**400, 0, 1, 1],
    {"id": 10}, {"image_id": 10, "bbox": [1, 2, 20, 25], "category_id": 3}, [{"id": 1}] * 3, nested(50), nested(700),
    {str(number): number for number in range(300)}, list(range(5000)),
]  # fmt: skip
# As text, so that each use is its own: a mutation may change what an earlier one put in.
JUNK_TEXTS = [json.dumps(value) for value in JUNK]
KEYS = ["id", "file_name", "width", "height", "image_id", "bbox", "category_id", "name", "extra", "", "\ud800"]
LISTS = ["images", "annotations", "categories"]

mutation = st.tuples(
    st.sampled_from(["set", "set", "set", "delete", "copy", "replace", "append", "list", "top"]),
    st.sampled_from(LISTS),
    st.integers(0, 5),
    st.sampled_from(KEYS),
    st.integers(0, len(JUNK) - 1),
)
spoiling = st.sampled_from([b"", b"", b"", b"", b"", b"", b"\xff", b"\xed\xa0\x80", b"{", b"NaN", b"\x00", b"\\u"])
files = st.tuples(st.lists(mutation, min_size=1, max_size=3), spoiling, st.integers(0, 400))


def mutate(content: dict[str, Any], kind: str, where: str, index: int, key: str, junk: Any) -> None:
    records = content.get(where)
    if kind == "top":
        content[key] = junk
    elif kind == "list" or not isinstance(records, list) or not records:
        content[where] = junk
    elif kind == "append":
        records.append(junk)
    elif kind == "copy":
        records.append(copy.copy(records[index % len(records)]))
    elif kind == "replace":
        records[index % len(records)] = junk
    elif isinstance(record := records[index % len(records)], dict):
        record.pop(key, None) if kind == "delete" else record.__setitem__(key, junk)


def build(recipe: tuple[list[Any], bytes, int]) -> bytes:
    mutations, spoil, position = recipe
    content = copy.deepcopy(tinyset.document())
    for kind, where, index, key, junk in mutations:
        mutate(content, kind, where, index, key, json.loads(JUNK_TEXTS[junk]))
    data = json.dumps(content).encode()
    return data[:position] + spoil + data[position:] if spoil else data


def read(name: str, data: bytes) -> SplitData | None:
    try:
        return SplitData(name, read_document(data, name), {"p0.jpg": 5, "p1.png": 5, "p2.jpg": 0})
    except DataError as error:
        assert "\n" not in str(error) and len(str(error)) < 500
        return None


# Without shrinking: an assertion names the file, and shrinking a hundred of them takes an hour.
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=(Phase.generate,),
)
@given(st.lists(files, min_size=FILES, max_size=FILES))
def test_every_file_gets_a_verdict(recipes: list[Any]) -> None:
    splits = [split for number, recipe in enumerate(recipes) if (split := read(f"case {number}", build(recipe)))]
    report = Report.start(rules_of(CONFIG.data_validation), {})
    check_splits([SplitData("training", tinyset.document()), *splits], CONFIG, report, None, ModelInput(320))
    content = json.dumps(report.to_dict(), allow_nan=False)
    assert json.loads(content)["ok"] is (not report.errors)
    for found in report.findings:
        assert found.rule in RULES and found.advice and len(str(found)) < 4000 and "\n" not in str(found)
    left = {found.split for found in report.errors}
    for split in splits:
        assert split.name in report.splits
        records = split.document
        for found in (found for found in report.findings if found.split == split.name and found.index is not None):
            assert 0 <= found.index < len(records[found.list])
        if split.name not in left:
            _what_is_left_can_be_used(split, report)


def _what_is_left_can_be_used(split: SplitData, report: Report) -> None:
    """A split without errors can be read for training, as it is or without what was dropped."""
    gone = {
        where: {record.index for record in report.dropped if (record.split, record.list) == (split.name, where)}
        for where in LISTS
    }
    document = split.document if split.is_named else {**split.document, "categories": tinyset.CATEGORIES}
    found = clean(document, split.name, "corners", gone["images"], gone["annotations"])
    sizes = {image.id: (image.width, image.height) for image in found.images}
    for box in found.boxes:
        xmin, ymin, xmax, ymax = box.bbox
        width, height = sizes[box.image_id]
        assert -1 <= xmin < xmax <= width + 1 and -1 <= ymin < ymax <= height + 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.sampled_from(KEYS + LISTS) | st.text(), children),
    max_leaves=20,
)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused_in_one_line(data: bytes) -> None:
    read("anything", data)


def test_ids_that_are_no_unicode() -> None:
    content = tinyset.document()
    for index, found in enumerate(["\ud800", "\ud800", 3, 10**400, 10**400, True]):
        content["annotations"][index]["id"] = found
    split = read("surrogates", json.dumps(content).encode())
    assert split is not None
    report = Report.start(rules_of(CONFIG.data_validation), {})
    check_splits([split], CONFIG, report, None, ModelInput(320))
    copies = [found.index for found in report.findings if found.rule == "annotation_id_not_unique"]
    assert copies == [1, 4]


def test_nesting_and_size_at_the_limits_of_json(tmp_path: Path) -> None:
    for data in (b"[" * 200_000, b'{"images":' * 100_000, b'{"images": [' + b"9" * 10_000 + b"]}"):
        assert read("deep", data) is None
    splits = []
    for depth in range(700, 1000, 7):
        content = {**tinyset.document(), "annotations": [{"image_id": 10, "category_id": 3, "bbox": "@"}]}
        data = json.dumps(content).replace('"@"', "[" * depth + "]" * depth).encode()
        if split := read(f"deep {depth}", data):
            splits.append(split)
    report = Report.start(rules_of(CONFIG.data_validation), {})
    check_splits(splits, CONFIG, report, None, ModelInput(320))
    report.write(tmp_path / "report.json")
    found = {finding.split for finding in report.findings if finding.rule == "box_not_finite"}
    assert found == {split.name for split in splits} and len(splits) > 10
