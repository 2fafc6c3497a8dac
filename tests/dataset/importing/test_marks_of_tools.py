"""What tools mark beside a box: groups, flags, crowds, splits, frames; and files of a set that cannot be read."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from foreign import BOX, coco, convert, picture, refused, voc, voc_object, write, write_coco, yolo
from tool_exports import create_ml, cvat, labelme, labelme_document, manifest_line, shape, studio_region, studio_task

# COCO


def marked(folder: Path, **fields: Any) -> Path:
    document = coco(["p0.jpg"])
    document["annotations"][0] |= fields
    return write_coco(folder, document)


@pytest.mark.parametrize("value", [1, True, "1"])
def test_what_is_to_be_ignored_is_a_crowd(tmp_path: Path, value: Any) -> None:
    found = convert(marked(tmp_path / "set", ignore=value))
    assert found.converted.crowds == 1 and "marked with ignore" in found.said
    assert convert(marked(tmp_path / "other", ignore=0)).converted.crowds == 0


def test_corners_that_detectron_declares(tmp_path: Path) -> None:
    found = convert(marked(tmp_path / "set", bbox=[20, 20, 60, 60], bbox_mode=0))
    assert found.of("p0.jpg") == [("bolt", BOX)] and "from corners, as bbox_mode says" in found.said
    assert convert(marked(tmp_path / "other", bbox_mode=1)).of("p0.jpg") == [("bolt", BOX)]


def test_few_boxes_that_are_possible_in_two_ways(tmp_path: Path) -> None:
    document = coco(["p0.jpg"])
    document["annotations"] = [{"image_id": 0, "category_id": 1, "bbox": [20, 20, 60, 60]}]
    found = convert(write_coco(tmp_path / "own", document))
    assert found.of("p0.jpg") == [("bolt", BOX)] and "no record has an id or an area, as in Boxwright's" in found.said
    document["annotations"][0]["id"] = 1
    found = convert(write_coco(tmp_path / "set", document))
    assert found.of("p0.jpg") == [("bolt", (20, 20, 80, 80))]
    assert "too few boxes to tell: taken as [x, y, width, height]" in found.said


def test_one_file_whose_images_lie_in_folders_of_splits(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "set", coco(["train/a.jpg", "val2017/b.jpg"]))
    for given in (source.parent, source):
        found = convert(given, "validation")
        assert found.converted.images == {"training": 1, "validation": 1} and set(found.boxes) == {"b.jpg"}
    cameras = write_coco(tmp_path / "other", coco(["test bench/a.jpg", "train station/b.jpg"]))
    assert convert(cameras).converted.images == {"": 2}


def test_files_of_a_set_that_are_not_read(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        picture(tmp_path / "set" / split / "p0.jpg", len(split))
        write(tmp_path / "set" / split / "_annotations.coco.json", json.dumps(coco(["p0.jpg"])))
    bare = tmp_path / "set" / "test" / "_annotations.coco.json"
    write(bare, json.dumps({"images": coco(["p0.jpg"])["images"], "categories": []}))
    said = convert(tmp_path / "set", "training").said
    assert "not read: expected lists of images, annotations and categories: test/_annotations.coco.json" in said
    write(bare, bare.read_text()[:40])
    refused(tmp_path / "set", "1 bad record: test/_annotations.coco.json: not JSON at line 1")


def test_an_image_that_lost_all_that_was_on_it_is_named(tmp_path: Path) -> None:
    document = coco(["p0.jpg", "p1.jpg"])
    document["annotations"][0]["bbox"] = None
    found = convert(write_coco(tmp_path / "set", document))
    said = "noted (1): nothing of what is marked on this image came out, so that it is without boxes"
    assert found.of("p0.jpg") == [] and f"{said}: annotations.json: images[0]" in found.said


# LabelMe


def test_outlines_of_one_group_are_one_object(tmp_path: Path) -> None:
    corner, other = [[10, 10], [30, 10], [30, 30]], [[80, 80], [100, 80], [100, 100]]
    outlines = [
        shape("polygon", points, label) | {"group_id": group}
        for points, label, group in ((corner, "bolt", 1), (other, "bolt", 1), (corner, "nut", 1), (other, "nut", None))
    ]
    boxes = [shape() | {"group_id": 7}, shape(points=[[70, 20], [90, 60]]) | {"group_id": 7}]
    labelme(tmp_path / "set", shapes=outlines + boxes)
    found = convert(tmp_path / "set")
    assert found.of("p0.jpg") == [
        ("bolt", (10, 10, 100, 100)),
        ("nut", (10, 10, 30, 30)),
        ("nut", (80, 80, 100, 100)),
        ("bolt", BOX),
        ("bolt", (70, 20, 90, 60)),
    ]
    assert "changed (1): outlines of one label and group_id are one object; box around them: p0.json: shapes[1]" in (
        found.said
    )


def test_flags_of_an_image_and_a_file_that_is_cut_off(tmp_path: Path) -> None:
    labelme(tmp_path / "set", flags={"rusty": True, "new": False}, shapes=[])
    assert "a flag says something of the image and is not an object, ignored: p0.json: rusty" in (
        convert(tmp_path / "set").said
    )
    write(tmp_path / "set" / "p1.json", json.dumps(labelme_document([shape()]))[:50])
    refused(tmp_path / "set", "p1.json: not JSON at line 1")


# Create ML and tables


def test_a_file_of_create_ml_without_objects(tmp_path: Path) -> None:
    create_ml(tmp_path / "set")
    picture(tmp_path / "set" / "p1.jpg", 1)
    write(tmp_path / "set" / "p1.json", json.dumps([{"image": "p1.jpg", "verified": False, "annotations": []}]))
    assert convert(tmp_path / "set").boxes == {"p0.jpg": [("bolt", BOX)], "p1.jpg": []}


@pytest.mark.parametrize(
    "text",
    [
        "image,label,xmin,ymin,width,height\np0.jpg,bolt,20,20,40,40\n",
        "bolt,20,20,40,40,p0.jpg,160,120\n",
        "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height\n"
        "bolt,20,20,40,40,p0.jpg,160,120\n",
    ],
)
def test_tables_with_a_corner_and_a_size(tmp_path: Path, text: str) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    found = convert(write(tmp_path / "set" / "a.csv", text).parent)
    assert found.boxes == {"p0.jpg": [("bolt", BOX)]} and "a corner and a size" in found.said


def test_rows_of_nothing_are_negatives_and_digits_are_not_grouped(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "set" / f"p{number}.jpg", number)
    rows = "filename,class,xmin,ymin,xmax,ymax\np0.jpg,bolt,20,20,60,60\np1.jpg,NaN,nan,nan,nan,nan\n"
    source = write(tmp_path / "set" / "a.csv", rows)
    assert convert(source).boxes == {"p0.jpg": [("bolt", BOX)], "p1.jpg": []}
    write(source, rows.replace("20,20", "2_0,20"))
    refused(source, "a.csv: line 2: expected each corner as a finite number, got '2_0'")


def test_a_list_of_classes_beside_a_table(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "train" / "p0.jpg")
    write(tmp_path / "set" / "train" / "_annotations.csv", "p0.jpg,20,20,60,60,bolt\n")
    write(tmp_path / "set" / "train" / "_classes.csv", "nut,1\nwasher,0\nbolt,2\n")
    assert [*convert(tmp_path / "set").classes.values()] == ["washer", "nut", "bolt"]


# Label Studio


def test_what_is_said_of_an_unnamed_region_counts_once(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    value = {"x": 50, "y": 50, "width": 10, "height": 10, "rotation": 0}
    results = [{"id": "z", "type": "rectangle", "value": value}]
    results.append({"id": "z", "type": "choices", "value": value | {"choices": ["nut"]}})
    write(tmp_path / "set" / "e.json", json.dumps([studio_task([studio_region(), *results])]))
    assert "left out (1): a region without a label [1 box less]: e.json: [0]: result[1]" in convert(
        tmp_path / "set"
    ).said  # fmt: skip


@pytest.mark.parametrize("key", [[], {}, [1]])
def test_ids_of_regions_that_are_none(tmp_path: Path, key: Any) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    region = studio_region() | {"id": key, "to_name": key}
    write(tmp_path / "set" / "e.json", json.dumps([studio_task([region])]))
    assert convert(tmp_path / "set").of("p0.jpg") == [("bolt", BOX)]


@pytest.mark.parametrize(
    "region", [{"format": "rle", "rle": [1], "brushlabels": ["bolt"]}, {"rectanglelabels": ["bolt"]}]
)
def test_regions_of_json_min_that_have_no_box(tmp_path: Path, region: dict[str, Any]) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    record = {"image": "p0.jpg", "id": 1, "label": [region], "annotator": 1, "annotation_id": 1}
    found = convert(write(tmp_path / "set" / "e.json", json.dumps([record])).parent, on_invalid="drop")
    assert found.of("p0.jpg") == [] and "[1 box less]: e.json: [0]: result[0]" in found.said


@pytest.mark.parametrize("word", ["presign", "resolve"])
def test_images_behind_the_address_of_a_bucket(tmp_path: Path, word: str) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    for address in ("s3://bucket/x/p0.jpg", base64.b64encode(b"s3://bucket/x/p0.jpg").decode()):
        task = studio_task([studio_region()], f"/tasks/1/{word}/?fileuri={address}")
        found = convert(write(tmp_path / "set" / "e.json", json.dumps([task])))
        assert found.of("p0.jpg") == [("bolt", BOX)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"video": "/data/upload/1/x.mp4"}, "regions of videos are not read: label frames as images"),
        ({"images": ["p0.jpg", "p1.jpg"]}, "several images of one task are not read: give each a task"),
    ],
)
def test_tasks_of_more_than_an_image(tmp_path: Path, data: dict[str, Any], words: str) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    task = studio_task([studio_region()]) | {"data": data}
    refused(write(tmp_path / "set" / "e.json", json.dumps([task])).parent, "e.json: [0]", words)


# CVAT and Ground Truth


def test_frames_of_a_video_without_objects_are_negatives(tmp_path: Path) -> None:
    for frame in (10, 12, 14, 16, 18):
        picture(tmp_path / "set" / "images" / f"frame_{frame:06}.PNG", frame)
    task = "<start_frame>10</start_frame><stop_frame>16</stop_frame><frame_filter>step=2</frame_filter>"
    deleted = "<deleted_frames><frame>14</frame></deleted_frames>"
    shapes = '<box frame="10" xtl="20" ytl="20" xbr="60" ybr="60"/><box frame="12" outside="1"/>'
    track = f'<track id="0" label="bolt">{shapes}</track>'
    text = f"<annotations><meta><task>{task}{deleted}</task></meta>{track}</annotations>"
    found = convert(write(tmp_path / "set" / "annotations.xml", text).parent)
    assert found.boxes == {"frame_000010.PNG": [("bolt", BOX)], "frame_000012.PNG": [], "frame_000016.PNG": []}
    assert "a frame that was deleted in the tool [1 image less]: annotations.xml: frame 14" in found.said
    assert "no label names this image" in found.said and "frame_000018.PNG" in found.said


def test_shapes_of_a_group_in_cvat_are_named(tmp_path: Path) -> None:
    cvat(tmp_path / "set")
    path = tmp_path / "set" / "annotations.xml"
    write(path, path.read_text().replace('z_order="0"', 'z_order="0" group_id="1"'))
    assert "noted (1): shapes of a group; each is an object of its own" in convert(tmp_path / "set").said


def test_lines_of_other_jobs_say_what_they_have(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    kind = {"labels": 1, "labels-metadata": {"type": "groundtruth/image-classification"}}
    write(tmp_path / "set" / "o.manifest", manifest_line(**kind))
    refused(tmp_path / "set", "no boxes of workers in this line, only groundtruth/image-classification")


# Pascal VOC and lists of classes


def test_what_cvat_adds_to_pascal_voc(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "JPEGImages" / "p0.jpg")
    turned = "<attributes><attribute><name>rotation</name><value>90.0</value></attribute></attributes>"
    text = voc(voc_object(box=(41, 21, 60, 80), more=turned) + voc_object("nut"))
    write(tmp_path / "set" / "Annotations" / "p0.xml", text)
    write(tmp_path / "set" / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\na:b:1,2,3::\n")
    found = convert(tmp_path / "set")
    assert found.of("p0.jpg") == [("bolt", (20, 40, 80, 60)), ("nut", BOX)]
    assert [*found.classes.values()] == ["a:b", "bolt", "nut"] and "box made around a rotated one" in found.said


def test_a_mask_of_labelmes_markup(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    sides = "<xmin>6</xmin><ymin>7</ymin><xmax>12</xmax><ymax>14</ymax>"
    write(tmp_path / "set" / "p0.xml", voc(f"<object><name>nut</name><segm><box>{sides}</box></segm></object>"))
    found = convert(tmp_path / "set")
    assert found.of("p0.jpg") == [("nut", (6, 7, 12, 14))] and "box made from a mask" in found.said


def test_a_number_of_classes_without_names(tmp_path: Path) -> None:
    assert [*convert(yolo(tmp_path / "set", "nc: 3\n")).classes.values()] == ["class_0", "class_1", "class_2"]


def test_a_line_that_looks_like_a_remark_is_named(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set", "")
    write(folder / "classes.txt", "# parts\nbolt\n")
    said = convert(folder).said
    assert "begins with #, and is taken as the name of a class: classes.txt: line 1: # parts" in said


def test_a_file_of_the_whole_beside_those_of_its_splits(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "set", coco(["a.jpg", "b.jpg"]), "annotations/all.json")
    for split, name in (("train", "a.jpg"), ("val", "b.jpg")):
        write(source.parent / f"{split}.json", json.dumps(coco([name])))
    refused(tmp_path / "set", "2 bad records", "images/b.jpg is that of annotations/all.json: images[1] already")
    source.unlink()
    assert convert(tmp_path / "set", "validation").converted.images == {"training": 1, "validation": 1}
