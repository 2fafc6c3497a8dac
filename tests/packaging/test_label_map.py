from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from boxwright.errors import DataError
from boxwright.packaging.label_map import export_label_map

HOSTILE = [
    "plain",
    'quote " and \\ backslash',
    "single ' quote",
    "line\nbreak\ttab\rreturn",
    '"}\nitem { id: 99 name: "injected',
    "赤血球 é 🩸",
    "digits after \x01234",
    "\x00\x7f",
    "",
    " # comment",
]


@pytest.fixture(scope="module")
def label_map_class() -> Any:
    """`StringIntLabelMap` as the TF Object Detection API declares it."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="label_map.proto", package="od", syntax="proto2")
    item = file.message_type.add(name="StringIntLabelMapItem")
    item.field.add(name="name", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    item.field.add(name="id", number=2, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    item.field.add(name="display_name", number=3, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    whole = file.message_type.add(name="StringIntLabelMap")
    whole.field.add(
        name="item",
        number=1,
        type=field.TYPE_MESSAGE,
        label=field.LABEL_REPEATED,
        type_name=".od.StringIntLabelMapItem",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("od.StringIntLabelMap"))


def test_hostile_names_come_back_unchanged_from_both_files(tmp_path: Path, label_map_class: Any) -> None:
    ids = list(range(3, 3 + 2 * len(HOSTILE), 2))
    json_path, text_path = export_label_map(HOSTILE, ids, tmp_path)
    assert json.loads(json_path.read_text()) == {"labels": HOSTILE, "category_ids": ids}
    parsed = text_format.Parse(text_path.read_text("ascii"), label_map_class())
    assert [item.name for item in parsed.item] == HOSTILE
    assert [item.display_name for item in parsed.item] == HOSTILE
    assert [item.id for item in parsed.item] == list(range(1, len(HOSTILE) + 1))


def test_the_text_is_what_people_know(tmp_path: Path) -> None:
    _, text_path = export_label_map(("RBC",), (2,), tmp_path)
    assert text_path.read_text() == 'item {\n  id: 1\n  name: "RBC"\n  display_name: "RBC"\n}\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["label_map.json", "label_map.pbtxt"]


def test_half_a_surrogate_pair_does_not_end_the_export(tmp_path: Path, label_map_class: Any) -> None:
    _, text_path = export_label_map(["\ud800x"], [1], tmp_path)
    assert text_format.Parse(text_path.read_text("ascii"), label_map_class()).item[0].name == "?x"


@pytest.mark.parametrize(("classes", "ids"), [([], []), (["a"], [1, 2])])
def test_lists_that_do_not_belong_together_are_refused(classes: list[str], ids: list[int], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one category id for each class"):
        export_label_map(classes, ids, tmp_path)
