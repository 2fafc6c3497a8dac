"""Formats that are not read: the refusal names the file, the format and the way out, from folders and archives."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from foreign import coco, convert, picture, refused, write, yolo

from boxwright.dataset.examples.tfrecord import encode_example, write_record
from boxwright.errors import UsageError

_VIA_RECT = {"shape_attributes": {"name": "rect", "x": 20}, "region_attributes": {"type": "bolt"}}
_KITTI = "Car 0.00 0 -1.58 20.0 20.0 60.0 60.0 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59\n"
_DOTA = "20.0 20.0 60.0 20.0 60.0 60.0 20.0 60.0 bolt 0\n"
_RESULT = {"image_id": 1, "category_id": 1, "bbox": [20, 20, 40, 40], "score": 0.5}

JSON: dict[str, tuple[str, Any]] = {
    "via 2": ("VIA", {"_via_img_metadata": {"p0.jpg9": {"filename": "p0.jpg", "regions": [_VIA_RECT]}}}),
    "via 1": ("VIA", {"p0.jpg9": {"filename": "p0.jpg", "regions": {"0": _VIA_RECT}}}),
    "via 3": ("VIA", {"project": {"pid": "__VIA__"}, "file": {"1": {"fname": "p0.jpg"}}, "metadata": {}}),
    "vott": ("VoTT", {"asset": {"name": "p0.jpg"}, "regions": [{"tags": ["bolt"], "boundingBox": {"left": 20}}]}),
    "supervisely": ("Supervisely", {"size": {}, "objects": [{"classTitle": "bolt", "points": {"exterior": []}}]}),
    "datumaro": ("Datumaro", {"categories": {"label": {"labels": []}}, "items": [{"id": "p0", "annotations": []}]}),
    "darwin": ("Darwin", {"item": {"name": "p0.jpg"}, "annotations": [{"bounding_box": {"h": 40}, "name": "bolt"}]}),
    "scale": ("Scale", [{"task_id": "a", "response": {"annotations": [{"label": "bolt", "left": 20}]}}]),
    "labelbox": ("Labelbox", [{"DataRow ID": "b", "Label": {"objects": [{"bbox": {"top": 20}}]}}]),
    "encord": ("Encord", [{"label_hash": "a", "data_units": {}, "object_answers": {}}]),
    "dataturks": ("Dataturks", {"content": "http://x/p0.jpg", "annotation": [{"label": ["bolt"]}]}),
    "superannotate": ("SuperAnnotate", {"metadata": {}, "instances": [{"type": "bbox", "className": "bolt"}]}),
    "bdd100k": ("BDD100K", [{"name": "p0.jpg", "labels": [{"category": "bolt", "box2d": {"x1": 20}}]}]),
    "vertex": ("Vertex AI", {"imageGcsUri": "gs://b/p0.jpg", "boundingBoxAnnotations": []}),
    "azure": ("Azure", {"image_url": "AmlDatastore://p0.jpg", "label": [{"label": "bolt", "topX": 0.1}]}),
    "hugging face": ("Hugging Face", {"file_name": "p0.jpg", "objects": {"bbox": [[20, 20, 40, 40]]}}),
    "fiftyone": ("FiftyOne", {"samples": [{"filepath": "p0.jpg", "boxes": {"_cls": "Detections"}}]}),
    "results": ("COCO's results", [_RESULT]),
}
TEXTS = {
    "VIA's CSV": ("a.csv", "#filename,region_shape_attributes,region_attributes\np0.jpg,{},{}\n"),
    "Label Studio's table": ("a.csv", 'id,image,label\n1,p0.jpg,"[{""x"": 12.5, ""rectanglelabels"": [""bolt""]}]"\n'),
    "classes of whole images": ("_classes.csv", "filename, bolt, nut\np0.jpg, 1, 0\n"),
    "a whole box in one column": ("a.csv", 'image_id,width,bbox\np0,160,"[20.0, 20.0, 40.0, 40.0]"\n'),
    "Keras YOLO": ("_annotations.txt", "p0.jpg 20,20,60,60,0\n"),
    "DOTA": ("labelTxt/p0.txt", f"imagesource:GoogleEarth\ngsd:0.1\n{_DOTA}"),
    "KITTI": ("label_2/000000.txt", _KITTI),
    "OIDv4": ("Apple/Label/abc.txt", "Apple 20.0 20.0 60.0 60.0\n"),
    "MOT": ("gt/gt.txt", "1,1,20,20,40,40,1,1,1.0\n"),
    "VisDrone": ("annotations/p0.txt", "20,20,40,40,1,4,0,0\n"),
    "WIDER": ("wider_face_train_bbx_gt.txt", "0--Parade/p0.jpg\n1\n20 20 40 40 0 0 0 0 0 0\n"),
}


def asked(source: Path, *words: str, kind: str | None = None) -> None:
    with pytest.raises(UsageError) as caught:
        convert(source, kind=kind)
    for word in (*words, "not read"):
        assert word in str(caught.value)


@pytest.mark.parametrize("name", JSON)
def test_json_of_other_tools(tmp_path: Path, name: str) -> None:
    title, document = JSON[name]
    picture(tmp_path / "set" / "p0.jpg")
    asked(write(tmp_path / "set" / "ann" / "x.json", json.dumps(document)).parent.parent, "ann/x.json", title)


@pytest.mark.parametrize("name", TEXTS)
def test_text_of_other_tools(tmp_path: Path, name: str) -> None:
    file, text = TEXTS[name]
    picture(tmp_path / "set" / "images" / "p0.jpg")
    write(tmp_path / "set" / file, text)
    asked(tmp_path / "set", file, name)


def test_lines_of_json_in_a_zip(tmp_path: Path) -> None:
    line = json.dumps({"data_row": {"external_id": "p0.jpg"}, "projects": {}})
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("export.ndjson", f"{line}\n{line}\n")
        archive.write(picture(tmp_path / "p0.jpg"), "p0.jpg")
    asked(tmp_path / "a.zip", "export.ndjson looks like Labelbox's export")


def test_records_of_another_kind(tmp_path: Path) -> None:
    path = write(tmp_path / "set" / "x.tfrecord-00000-of-00001", b"")
    with path.open("wb") as file:
        write_record(file, encode_example({"image": ("bytes_list", [b"\xff\xd8"])}))
    asked(path.parent, "x.tfrecord-00000-of-00001 has records without image/encoded")


def test_what_is_read_wrongly_on_demand_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "set" / "x.json", json.dumps(JSON["via 2"][1]))
    refused(source, "expected a list images", "looks like VIA's annotations", kind="coco")


def test_labels_of_another_form_beside_the_names_of_yolo(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set", "train: ../train/images\nnames: [bolt]\n", "train/images")
    for path in (folder / "labels").iterdir():
        path.unlink()
    write(folder / "train" / "labelTxt" / "p0.txt", _DOTA)
    refused(folder, "none of 2 images has a file of labels that is read", "looks like DOTA's text")
    write(folder / "train" / "labelTxt" / "p0.txt", "a bolt, lying\n")
    refused(folder, "p0.txt has the name of one, and is not in YOLO's form")


def test_what_is_packed_is_to_be_unpacked(tmp_path: Path) -> None:
    write(tmp_path / "set" / "a.json.gz", b"\x1f\x8b")
    with pytest.raises(UsageError, match="it has 1 .gz, and a.json.gz: unpack what the set is in first"):
        convert(tmp_path / "set")
    yolo(tmp_path / "set")
    assert "packed, not read; unpack it if it is part of the set: a.json.gz" in convert(tmp_path / "set").said
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.writestr("train.zip", b"PK")
    with pytest.raises(UsageError, match="train.zip.*: unpack what the set is in first"):
        convert(tmp_path / "outer.zip")


def test_pictures_alone(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "cat" / "p0.jpg")
    with pytest.raises(UsageError, match=r"it has pictures \(1\) and no file of labels"):
        convert(tmp_path / "set")


def test_panoptic_segments(tmp_path: Path) -> None:
    document = coco(["p0.jpg"])
    document["annotations"] = [{"image_id": 0, "file_name": "p0.png", "segments_info": [{"id": 1, "category_id": 1}]}]
    picture(tmp_path / "set" / "p0.jpg")
    refused(write(tmp_path / "set" / "a.json", json.dumps(document)), "panoptic segments are not read")
