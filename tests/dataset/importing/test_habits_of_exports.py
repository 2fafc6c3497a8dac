"""What labelling tools, tables and records of labels do: each comes in right, or is named with file and record."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from foreign import BOX, convert, picture, refused, write
from tool_exports import MAKERS, example, manifest_line, studio_region, studio_task

from boxwright.dataset.examples.tfrecord import write_record

# CVAT


def cvat(folder: Path, body: str, meta: str = "", *names: str) -> Path:
    for number, name in enumerate(names or ("p0.jpg",)):
        picture(folder / "images" / name, number)
    write(folder / "annotations.xml", f"<annotations><meta><task>{meta}</task></meta>{body}</annotations>")
    return folder


def cvat_image(shapes: str, name: str = "p0.jpg", number: int = 0) -> str:
    return f'<image id="{number}" name="{name}" width="160" height="120">{shapes}</image>'


CVAT_BOX = '<box label="bolt" xtl="20" ytl="20" xbr="60" ybr="60"/>'


def test_shapes_that_are_turned_hidden_or_unknown(tmp_path: Path) -> None:
    ellipse = '<ellipse label="bolt" rotation="90" cx="80" cy="60" rx="40" ry="20"/>'
    points = '<points label="a" points="20,20"/><points label="b" points="150,110" outside="1"/>'
    skeleton = f'<skeleton label="nut">{points}<points label="c" points="40,50"/></skeleton>'
    found = convert(cvat(tmp_path / "set", cvat_image(f'{ellipse}{skeleton}<star label="nut" points="1,1"/>')))
    assert found.of("p0.jpg") == [("bolt", (60, 20, 100, 100)), ("nut", (20, 20, 40, 50))]
    assert "left out (1): <star> is not a shape that is known [1 box less]" in found.said


def test_deleted_frames_are_left_out(tmp_path: Path) -> None:
    body = cvat_image(CVAT_BOX) + cvat_image(CVAT_BOX, "p1.jpg", 1)
    meta = "<deleted_frames><frame>1</frame></deleted_frames>"
    found = convert(cvat(tmp_path / "set", body, meta, "p0.jpg", "p1.jpg"))
    assert set(found.boxes) == {"p0.jpg"}
    assert "a frame that was deleted in the tool [1 image less, 1 box less]" in found.said


def test_frames_of_two_tasks_are_not_mixed(tmp_path: Path) -> None:
    shape = CVAT_BOX.replace("<box", '<box frame="0"')
    tracks = "".join(
        f'<track id="{task}" label="{label}" task_id="{task}">{shape}</track>'
        for task, label in ((5, "bolt"), (6, "nut"))
    )
    refused(cvat(tmp_path / "set", tracks, "", "frame_000000.jpg"), "task 6 frame 0", "that of annotations.xml: task 5")


# Label Studio


def studio(folder: Path, *tasks: dict[str, Any], images: int = 1) -> Path:
    for number in range(images):
        picture(folder / f"p{number}.jpg", number)
    return write(folder / "export.json", json.dumps(tasks)).parent


def minimal(**changes: Any) -> dict[str, Any]:
    """A record of JSON-MIN."""
    box = {"x": 12.5, "y": 100 / 6, "width": 25, "height": 100 / 3, "rotation": 0, "rectanglelabels": ["bolt"]}
    return {"image": "p0.jpg", "id": 1, "label": [box], "annotator": 1, "annotation_id": 1} | changes


def test_exports_before_version_1_and_single_tasks(tmp_path: Path) -> None:
    task = studio_task([studio_region()])
    old = {key: value for key, value in task.items() if key != "annotations"} | {"completions": task["annotations"]}
    assert convert(studio(tmp_path / "old", old)).boxes == {"p0.jpg": [("bolt", BOX)]}
    for name, document in {
        "task": task,
        "annotation": task["annotations"][0] | {"task": {"data": task["data"]}},
    }.items():
        picture(tmp_path / name / "p0.jpg")
        write(tmp_path / name / "1.json", json.dumps(document))
        assert convert(tmp_path / name).boxes == {"p0.jpg": [("bolt", BOX)]}


def test_json_min_of_two_tools_two_people_and_nothing(tmp_path: Path) -> None:
    polygon = {"points": [[1, 1], [9, 1], [9, 9]], "polygonlabels": ["nut"]}
    records = [minimal(label=[]), minimal(outline=[polygon], annotator=2), minimal(image="p1.jpg", id=2)]
    del records[2]["label"]
    found = convert(studio(tmp_path / "set", *records, images=2))
    assert [label for label, _ in found.of("p0.jpg")] == ["bolt", "nut"] and found.of("p1.jpg") == []
    assert "each a record: the last is taken: export.json: [0]" in found.said


def test_regions_of_two_images_are_not_mixed(tmp_path: Path) -> None:
    task = studio_task([studio_region() | {"to_name": "left"}, studio_region() | {"to_name": "right"}])
    task["data"] = {"left": "p0.jpg", "right": "p1.jpg"}
    refused(studio(tmp_path / "set", task, images=2), "[0]: several images in one task", "['left', 'right']")
    task["annotations"][0]["result"].pop(0)
    assert convert(studio(tmp_path / "other", task, images=2)).boxes == {"p1.jpg": [("bolt", BOX)]}


def test_what_is_said_of_a_region_is_no_lost_box(tmp_path: Path) -> None:
    remark = studio_region() | {"type": "textarea"}
    remark["value"] = {key: value for key, value in remark["value"].items() if key != "rectanglelabels"}
    remark["value"]["text"] = ["rusty"]
    unnamed = studio_region(rectanglelabels=[]) | {"id": "b"}
    found = convert(studio(tmp_path / "set", studio_task([studio_region(), remark, unnamed])))
    assert found.of("p0.jpg") == [("bolt", BOX)] and "a result that is not a region, ignored" in found.said
    assert "left out (1): a region without a label [1 box less]: export.json: [0]: result[2]" in found.said


def test_a_rotated_ellipse(tmp_path: Path) -> None:
    value = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 10, "rotation": 90, "ellipselabels": ["bolt"]}
    region = {"type": "ellipselabels", "original_width": 160, "original_height": 120, "value": value}
    assert convert(studio(tmp_path / "set", studio_task([region]))).of("p0.jpg") == [("bolt", (68, 20, 92, 100))]


# Tables, records and manifests


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("filename,class,x,y,width,height\np0.jpg,bolt,20,20,40,40\n", "a corner and a size"),
        ("img,w,h,x,y,name\np0.jpg,40,40,20,20,bolt\n", "a corner and a size"),
        ("p0.jpg,160,120,bolt,20,20,60,60\n", ""),
        ("TRAIN,gs://b/p0.jpg,bolt,0.125,0.166666667,,,0.375,0.5,,\n", "taken as shares"),
        ("filename,class,label,xmin,ymin,xmax,ymax\np0.jpg,1,bolt,20,20,60,60\n", "columns that are not read: class"),
        ("filename\tclass\txmin\tymin\txmax\tymax\np0.jpg\tbolt\t20\t20\t60\t60\n", ""),
    ],
)
def test_columns_of_other_writers(tmp_path: Path, text: str, words: str) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    found = convert(write(tmp_path / "set" / "a.csv", text).parent)
    assert found.boxes == {"p0.jpg": [("bolt", BOX)]} and words in found.said


def test_a_column_of_splits_a_shifted_row_and_a_foreign_encoding(tmp_path: Path) -> None:
    rows = "filename,class,xmin,ymin,xmax,ymax,split\np0.jpg,bolt,20,20,60,60,train\np1.jpg,bolt,20,20,60,60,val\n"
    for number in range(2):
        picture(tmp_path / "set" / f"p{number}.jpg", number)
    source = write(tmp_path / "set" / "a.csv", rows)
    assert convert(source, "validation").boxes == {"p1.jpg": [("bolt", BOX)]}
    write(source, rows + "p1.jpg,bolt, big,20,20,60,60,val\n")
    refused(source, "a.csv: line 4: expected 7 columns")
    source.write_bytes(rows.replace("bolt", "\u00e9crou").encode("latin-1"))
    refused(tmp_path / "set", "a.csv: not UTF-8 at byte")


def test_open_images_of_pixels_and_of_unnamed_classes(tmp_path: Path) -> None:
    MAKERS["open-images"](tmp_path / "set")
    table = tmp_path / "set" / "train-annotations-bbox.csv"
    row = "p0,xclick,/m/01zz,1,0.125,0.375,0.25,0.5,0,0,0,0,0"
    write(table, f"{table.read_text()}\n{row}\n")
    assert "no name for this class among the files; its id is its name: train-annotations-bbox.csv: line 4: /m/01zz" \
        in convert(tmp_path / "set").said  # fmt: skip
    write(table, f"{table.read_text()}{row.replace('0.125', '20')}\n")
    refused(tmp_path / "set", "line 5: expected xmin from 0 to 1, got '20'; pixels?")


def records(folder: Path, data: bytes, name: str = "train.record") -> Path:
    folder.mkdir()
    with (folder / name).open("wb") as file:
        write_record(file, data)
    write(folder / "map.pbtxt", '# classes {\nitem {\n  id: 1 # first\n  name: "bo}lt"\n}\n')
    return folder


def test_records_with_texts_flags_and_odd_label_maps(tmp_path: Path) -> None:
    flagged = example(**{"image/object/difficult": ("int64_list", [1])})
    found = convert(records(tmp_path / "set", flagged, "train-00000-of-00001"))
    assert [label for label, _ in found.of("p0.jpg")] == ["bo}lt"] and found.converted.crowds == 1
    text = example(**{"image/object/class/text": ("bytes_list", ["nut"])})
    assert "class/text is nut where the label map has bo}lt" in convert(records(tmp_path / "text", text)).said


def test_compressed_records_are_named(tmp_path: Path) -> None:
    folder = records(tmp_path / "set", example())
    write(folder / "train.record", gzip.compress((folder / "train.record").read_bytes()))
    refused(folder, "train.record: compressed with gzip; decompress it first")


def test_jobs_of_one_manifest_count_their_classes_each(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "set" / f"p{number}.jpg", number)
    other = json.loads(manifest_line("s3://b/p1.jpg"))
    other["labels-metadata"]["class-map"] = {"1": "gear"}
    write(tmp_path / "set" / "all.manifest", f"{manifest_line()}\n{json.dumps(other)}\n")
    found = convert(tmp_path / "set")
    assert found.boxes == {"p0.jpg": [("bolt", BOX)], "p1.jpg": [("gear", BOX)]}
    assert "class_id 1 is gear in this line and bolt in others" in found.said
