"""Sets as people reported them to the makers of labelling tools, drawn anew: each comes in, or its fault is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from foreign import BOX, YOLO_LINE, coco, convert, picture, voc, voc_object, write, write_coco, yolo
from tool_exports import example, studio_region, studio_task

from boxwright.dataset.examples.tfrecord import write_record
from boxwright.errors import DataError


@pytest.mark.parametrize(
    ("written", "on_disk"),
    [
        (
            "..\\..\\label-studio\\label-studio\\media\\upload\\4\\cb0618f6-a_1742.58_b.png",
            "images/cb0618f6-a_1742.58_b.png",
        ),
        ("images/1/942a5a02-1669.208194.jpg", "images/942a5a02-1669.208194.jpg"),
        ("data/local-files/?d=shop/p0.jpg", "images/p0.jpg"),
        ("/label-studio/data/upload/12/942a5a02-p0.jpg", "images/p0.jpg"),
    ],
)
def test_file_names_of_label_studios_coco(tmp_path: Path, written: str, on_disk: str) -> None:
    picture(tmp_path / "set" / on_disk)
    found = convert(write(tmp_path / "set" / "result.json", json.dumps(coco([written]))))
    assert found.boxes == {on_disk.removeprefix("images/"): [("bolt", BOX)]}


def test_a_task_with_a_windows_path(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "images" / "0.png")
    tasks = [studio_task([studio_region()], "/data/local-files/?d=\\images\\0.png")]
    assert [*convert(write(tmp_path / "set" / "fixed.json", json.dumps(tasks))).boxes.values()] == [[("bolt", BOX)]]


@pytest.mark.parametrize(
    ("name", "on_disk"),
    [("brick-front", "brick-front.png"), ("first.last-1", "first.last-1.jpg"), ("timg", "timg.jpg")],
)
def test_voc_names_without_extension_and_sizes_of_zero(tmp_path: Path, name: str, on_disk: str) -> None:
    picture(tmp_path / "set" / on_disk)
    size = "<size><width>0</width><height>0</height><depth>3</depth></size>"
    write(tmp_path / "set" / f"{name}.xml", voc(voc_object(), name, size))
    assert convert(tmp_path / "set").boxes == {on_disk: [("bolt", BOX)]}


def test_a_jpeg_called_png_is_kept_under_its_name(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "p0.jpg").rename(tmp_path / "set" / "p0.png")
    write(tmp_path / "set" / "p0.xml", voc(voc_object(), "p0.png", "<size><width>0</width><height>0</height></size>"))
    assert convert(tmp_path / "set").boxes == {"p0.png": [("bolt", BOX)]}


def test_markup_that_was_saved_without_an_extension_is_missed_by_name(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "set" / f"p{number}.jpg", number)
        write(tmp_path / "set" / (f"p{number}.xml" if number else "p0"), voc(voc_object(), f"p{number}.jpg"))
    found = convert(tmp_path / "set")
    assert set(found.boxes) == {"p1.jpg"} and "no label names this image" in found.said and "p0.jpg" in found.said


def test_yolo_of_cvat_with_frames_in_capitals(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for frame in (0, 2):
        picture(folder / "obj_train_data" / f"frame_{frame:06}.PNG", frame)
        write(folder / "obj_train_data" / f"frame_{frame:06}.txt", YOLO_LINE)
    write(folder / "obj.names", "car\n")
    write(folder / "obj.data", "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    write(folder / "train.txt", "data/obj_train_data/frame_000000.PNG\ndata/obj_train_data/frame_000002.PNG\n\n")
    found = convert(folder)
    assert found.boxes == {"frame_000000.PNG": [("car", BOX)], "frame_000002.PNG": [("car", BOX)]}
    assert "broken" not in found.said


def test_yolo_of_cvat_for_ultralytics(tmp_path: Path) -> None:
    folder = yolo(
        tmp_path / "set", "path:  ./ # root\ntrain: train.txt\nnames:\n  0: person\n", "images/train", "labels/train"
    )
    write(folder / "train.txt", "images/train/p0.jpg\nimages/train/p1.jpg\n")
    assert convert(folder).boxes == {"p0.jpg": [("person", BOX)], "p1.jpg": []}


@pytest.mark.parametrize("line", ["0 0.9 0.5 1.0371 0.1", "0 1.0301 0.5 0.1 0.1", "0 0.5 0.5 1.857923 1.873129"])
def test_shares_above_1_are_kept_and_named(tmp_path: Path, line: str) -> None:
    folder = yolo(tmp_path / "set")
    write(folder / "labels" / "p0.txt", f"{YOLO_LINE}\n{line}\n")
    found = convert(folder)
    assert len(found.of("p0.jpg")) == 2 and "box_outside_image: labels/p0.txt: line 2" in found.said


def test_one_label_that_an_export_makes_two(tmp_path: Path) -> None:
    document = coco(["p0.jpg", "p1.jpg"])
    document["categories"] = [
        {"id": 0, "name": "car-parts", "supercategory": "none"},
        {"id": 1, "name": "car", "supercategory": "car-parts"},
    ]
    document["annotations"].pop()
    for number in range(2):
        picture(tmp_path / "set" / f"p{number}.jpg", number)
    found = convert(write(tmp_path / "set" / "_annotations.coco.json", json.dumps(document)))
    assert list(found.classes.values()) == ["car"] and found.of("p1.jpg") == [] and "car-parts" in found.said


def test_masks_of_fewer_than_three_points_are_named(tmp_path: Path) -> None:
    document = coco(["p0.jpg"])
    document["annotations"][0] |= {"bbox": [], "segmentation": [[20, 20]]}
    picture(tmp_path / "set" / "p0.jpg")
    with pytest.raises(DataError, match=r"annotations\[0\]: expected pairs of coordinates"):
        convert(write(tmp_path / "set" / "a.json", json.dumps(document)))


def test_a_file_without_annotations_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "set" / "image_info_test.json", json.dumps({"images": [], "categories": []}))
    with pytest.raises(DataError, match=r"image_info_test.json: expected a list annotations, got nothing"):
        convert(source, kind="coco")


@pytest.mark.parametrize(
    ("value", "box"),
    [
        ({"x": 20, "y": 20, "width": 30, "height": 20, "rotation": 90}, (20, 20, 40, 80)),
        ({"x": 20, "y": 20, "width": 30, "height": 20, "rotation": 0}, (40, 20, 100, 40)),
        ({"x": 10, "y": 20, "width": 10, "height": 60}, (20, 20, 40, 80)),
        (
            {"x": 43.117, "y": 54.46, "width": 2.3066, "height": 2.5412, "rotation": 90.17},
            (83.679, 54.452, 86.234, 59.073),
        ),
    ],
)
def test_turned_regions_on_an_image_that_is_not_square(
    tmp_path: Path, value: dict[str, float], box: tuple[float, ...]
) -> None:
    picture(tmp_path / "set" / "p0.jpg", size=(200, 100))
    region = {"type": "rectanglelabels", "original_width": 200, "original_height": 100}
    task = studio_task([region | {"value": value | {"rectanglelabels": ["bolt"]}}])
    found = convert(write(tmp_path / "set" / "export.json", json.dumps([task])))
    assert found.of("p0.jpg")[0][1] == pytest.approx(box, abs=0.002)


def test_images_without_annotations_are_negatives_in_coco(tmp_path: Path) -> None:
    document = coco(["p0.jpg", "p1.jpg", "p2.jpg"])
    del document["annotations"][1:]
    del document["annotations"][0]["iscrowd"]
    found = convert(write_coco(tmp_path / "set", document))
    assert found.boxes == {"p0.jpg": [("bolt", BOX)], "p1.jpg": [], "p2.jpg": []}
    assert found.converted.account.came_out.negatives == 2


def test_a_group_that_is_called_like_its_class(tmp_path: Path) -> None:
    document = coco(["p0.jpg", "p1.jpg"])
    document["categories"] = [
        {"id": 0, "name": "fish", "supercategory": "none"},
        {"id": 1, "name": "fish", "supercategory": "fish"},
        {"id": 2, "name": "trap", "supercategory": "fish"},
    ]
    document["annotations"][1]["category_id"] = 2
    found = convert(write_coco(tmp_path / "set", document))
    assert found.boxes == {"p0.jpg": [("fish", BOX)], "p1.jpg": [("trap", BOX)]}
    assert [*found.classes.values()] == ["fish", "trap"] and "they are one class" in found.said


def test_classes_from_0_and_annotations_of_one_id(tmp_path: Path) -> None:
    document = coco(["p0.jpg"], categories=[{"id": 0, "name": "A"}, {"id": 1, "name": "B"}])
    document["annotations"] = [document["annotations"][0] | {"category_id": key} for key in (0, 1)]
    found = convert(write_coco(tmp_path / "set", document))
    assert found.of("p0.jpg") == [("A", BOX), ("B", BOX)] and found.classes == {0: "A", 1: "B"}


def test_sides_are_read_by_their_names(tmp_path: Path) -> None:
    sides = "<ymin>11</ymin><xmin>21</xmin><ymax>50</ymax><xmax>60</xmax>"
    picture(tmp_path / "set" / "p0.jpg")
    write(tmp_path / "set" / "p0.xml", voc(f"<object><name>bolt</name><bndbox>{sides}</bndbox></object>"))
    assert convert(tmp_path / "set").of("p0.jpg") == [("bolt", (20, 10, 60, 50))]


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((29.2, 86.8, 72.4, 29.2), "corners in the wrong order"),
        ((101, 61, 40, 30), "corners in the wrong order"),
        ((381, 41, 405, 80), "box_outside_image"),
    ],
)
def test_boxes_that_a_tool_has_spoilt_are_named(tmp_path: Path, box: tuple[float, ...], words: str) -> None:
    picture(tmp_path / "set" / "frame.mp4#t=0.jpg")
    write(tmp_path / "set" / "frame.mp4#t=0.xml", voc(voc_object(box=box), "frame.mp4#t=0.jpg"))
    found = convert(tmp_path / "set")
    assert len(found.of("frame.mp4#t=0.jpg")) == 1 and f"{words}" in found.said and "object 1" in found.said


def test_lists_of_single_classes_only(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "set" / "JPEGImages" / f"c{number}.jpg", number)
        write(tmp_path / "set" / "Annotations" / f"c{number}.xml", voc(voc_object(), f"c{number}.jpg"))
    main = tmp_path / "set" / "ImageSets" / "Main"
    write(main / "bolt_train.txt", "c0.jpg -1\nc0.jpg 1\nc1.jpg 1\n")
    write(main / "bolt_val.txt", "c2.jpg -1\n")
    found = convert(tmp_path / "set", "validation")
    assert found.converted.images == {"training": 2, "validation": 1} and set(found.boxes) == {"c2.jpg"}


def test_a_file_of_records_for_each_image(tmp_path: Path) -> None:
    for number in range(3):
        name = {"image/filename": ("bytes_list", [f"thumb{number}.jpg"])}
        path = write(tmp_path / "set" / f"thumb{number:04}.tfrecord", b"")
        with path.open("wb") as file:
            write_record(file, example(**name))
    write(tmp_path / "set" / "tf_label_map.pbtxt", "\nitem {\n id: 1\n name: 'bolt'\n}\n")
    assert set(convert(tmp_path / "set").boxes) == {f"thumb{number}.jpg" for number in range(3)}


def test_markup_that_was_saved_as_xml_xml_or_over_the_image(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "set" / f"p{number}.jpg", number)
    write(tmp_path / "set" / "p0.xml.xml", voc(voc_object()))
    write(tmp_path / "set" / "p1.xml", voc(voc_object(), "p1.jpg"))
    write(tmp_path / "set" / "p1.jpg", voc(voc_object(), "p1.jpg"))
    with pytest.raises(DataError, match="1 bad record: p1.xml: .*not JPEG or PNG"):
        convert(tmp_path / "set")
    assert convert(tmp_path / "set", on_invalid="drop").boxes == {"p0.jpg": [("bolt", BOX)]}


def test_table_names_without_an_extension_say_what_is_meant(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "raccoon-1.jpg")
    rows = "filename;width;height;class;xmin;ymin;xmax;ymax\nraccoon-1;160;120;raccoon;20;20;60;60\n"
    source = write(tmp_path / "set" / "train_labels.csv", rows)
    with pytest.raises(DataError, match=r"line 2: image raccoon-1 does not exist; did you mean raccoon-1.jpg"):
        convert(source)
    write(source, rows.replace("raccoon-1;", "raccoon-1.jpg;"))
    assert convert(source).boxes == {"raccoon-1.jpg": [("raccoon", BOX)]}


def test_names_of_many_dots_in_yolo(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    picture(folder / "images" / "1670577347.002843.jpg")
    write(folder / "labels" / "1670577347.002843.txt", YOLO_LINE)
    write(folder / "labels.txt", "bolt\nnut")
    assert convert(folder).boxes == {"1670577347.002843.jpg": [("bolt", BOX)]}


def test_a_class_behind_the_last_name(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    picture(folder / "obj_train_data" / "0001.jpg")
    write(folder / "obj_train_data" / "0001.txt", "3 0.5 0.5 0.1 0.1\n\n")
    write(folder / "obj.names", "k1\n")
    write(folder / "obj.data", "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    write(folder / "train.txt", "data/obj_train_data/0001.jpg\n")
    with pytest.raises(DataError, match=r"0001.txt: line 1: class 3 has no name; obj.names has 1 names"):
        convert(folder)


def test_a_record_for_each_annotation_is_one_image(tmp_path: Path) -> None:
    box = {"x": 12.5, "y": 100 / 6, "width": 25, "height": 100 / 3, "rectanglelabels": ["bolt"]}
    record = {"id": 7, "image": "p0.jpg", "label": [box], "annotator": 1, "annotation_id": 1}
    picture(tmp_path / "set" / "p0.jpg")
    records = [record, record | {"annotator": 2, "annotation_id": 2}]
    found = convert(write(tmp_path / "set" / "export.json", json.dumps(records)))
    assert found.boxes == {"p0.jpg": [("bolt", BOX)]} and "each a record: the last is taken" in found.said


def test_frames_of_a_video_that_was_cut_with_a_step(tmp_path: Path) -> None:
    shape = '<box frame="{}" xtl="20" ytl="20" xbr="60" ybr="60" outside="0"/>'
    track = f'<track id="0" label="bolt">{shape.format(0)}{shape.format(5)}{shape.format(10)}</track>'
    for frame in (0, 5):
        picture(tmp_path / "set" / "images" / f"frame_{frame:06}.PNG", frame)
    source = write(tmp_path / "set" / "annotations.xml", f"<annotations><meta></meta>{track}</annotations>")
    with pytest.raises(DataError, match=r"1 bad record: annotations.xml: frame 10: image frame_000010 does not exist"):
        convert(source)
    found = convert(source, on_invalid="drop")
    assert found.boxes == {f"frame_{frame:06}.PNG": [("bolt", BOX)] for frame in (0, 5)}
