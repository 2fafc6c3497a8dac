"""Exports of CVAT, Label Studio and LabelMe."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from foreign import BOX, convert, picture, write
from tool_exports import labelme, labelme_document, shape, studio_region, studio_task

# CVAT


def test_cvat_shapes_subsets_and_videos(tmp_path: Path) -> None:
    shapes = [
        '<box label="bolt" xtl="20" ytl="20" xbr="60" ybr="60" rotation="90.0"/>',
        '<polygon label="nut" points="1.5,2;30,2;30,40"/>',
        '<ellipse label="nut" cx="50" cy="50" rx="10" ry="20"/>',
        '<mask label="nut" rle="1, 2" left="5" top="6" width="7" height="8"/>',
        '<points label="nut" points="1,2"/>',
        '<tag label="nut"/>',
    ]
    picture(tmp_path / "set" / "p0.jpg")
    image = f'<image id="0" name="p0.jpg" width="160" height="120">{"".join(shapes)}</image>'
    found = convert(write(tmp_path / "set" / "annotations.xml", f"<annotations>{image}</annotations>").parent)
    assert found.of("p0.jpg") == [
        ("bolt", BOX),
        ("nut", (1.5, 2, 30, 40)),
        ("nut", (40, 30, 60, 70)),
        ("nut", (5, 6, 12, 14)),
    ]
    assert (
        "left out (1): points has no extent [1 box less]" in found.said
        and "<tag> says something of the image" in found.said
    )


def test_cvat_video(tmp_path: Path) -> None:
    for frame in (0, 3):
        picture(tmp_path / "set" / "images" / f"frame_{frame:06}.PNG", frame)
    boxes = "".join(
        f'<box frame="{frame}" outside="{int(frame == 1)}" keyframe="1" xtl="20" ytl="20" xbr="60" ybr="60"/>'
        for frame in (0, 1, 3)
    )
    track = f'<track id="0" label="bolt">{boxes}</track>'
    found = convert(write(tmp_path / "set" / "annotations.xml", f"<annotations>{track}</annotations>").parent)
    assert found.boxes == {"frame_000000.PNG": [("bolt", BOX)], "frame_000003.PNG": [("bolt", BOX)]}


# Label Studio


@pytest.mark.parametrize(
    "image",
    [
        "/data/upload/1/5f8a1c2d-p0.jpg",
        "s3://b/x/p0.jpg",
        "/data/local-files/?d=x/p0.jpg",
        "https://h/p0.jpg?X-Amz=1",
        "/storage-data/uploaded/?filepath=upload/3/5f8a1c2d-p0.jpg",
        "p0.jpg",
    ],
)
def test_label_studio_names(tmp_path: Path, image: str) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    source = write(tmp_path / "set" / "e.json", json.dumps([studio_task([studio_region()], image)]))
    assert convert(source).of("p0.jpg") == [("bolt", BOX)]


def test_label_studio_regions(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    regions = [
        studio_region(rotation=90, x=37.5),
        studio_region("polygonlabels", points=[[10, 10], [20, 10], [20, 50]]),
        studio_region("ellipselabels", x=50, y=50, radiusX=10, radiusY=20),
        studio_region(rectanglelabels=["bolt", "nut"]),
        studio_region("brushlabels", rle=[1]),
        studio_region(rectanglelabels=[]) | {"type": "rectangle"},
        {"type": "choices", "value": {"choices": ["good"]}},
    ]
    source = write(tmp_path / "set" / "e.json", json.dumps([studio_task(regions)]))
    found = convert(source)
    assert found.of("p0.jpg") == [
        ("bolt", (20, 20, 60, 60)),
        ("bolt", (16, 12, 32, 60)),
        ("bolt", (64, 36, 96, 84)),
        ("bolt", BOX),
        ("nut", BOX),
    ]
    for words in ("rotated", "polygon", "ellipse", "several labels", "brushlabels have no box", "not a region"):
        assert words in found.said


def test_label_studio_tasks(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "set" / f"p{number}.jpg", number)
    skipped = studio_task([], "p1.jpg", was_cancelled=True)
    negative = studio_task([], "p2.jpg")
    text = json.dumps([studio_task([studio_region()], "p0.jpg"), skipped, negative])
    found = convert(write(tmp_path / "set" / "e.json", text))
    assert found.boxes == {"p0.jpg": [("bolt", BOX)], "p2.jpg": []}
    assert "left out (1): a task without a finished annotation [1 image less]" in found.said


def test_label_studio_json_min(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "p0.jpg")
    region = studio_region()["value"] | {"original_width": 160, "original_height": 120}
    text = json.dumps([{"image": "/data/upload/1/5f8a1c2d-p0.jpg", "id": 1, "label": [region], "annotator": 1}])
    assert convert(write(tmp_path / "set" / "e.json", text)).of("p0.jpg") == [("bolt", BOX)]


# LabelMe


def test_labelme_shapes(tmp_path: Path) -> None:
    shapes = [
        shape(points=((60, 60), (20, 20))),
        shape("polygon", ((1, 2), (30, 2), (30, 40))),
        shape("circle", ((50, 50), (50, 60))),
        shape("point", ((5, 5),)),
        shape("mask", ((5, 6), (20, 30))),
    ]
    picture(tmp_path / "set" / "p0.jpg")
    found = convert(write(tmp_path / "set" / "p0.json", json.dumps(labelme_document(shapes))).parent)
    boxes = [box for _, box in found.of("p0.jpg")]
    assert boxes == [BOX, (1, 2, 30, 40), (40, 40, 60, 60), (5, 6, 21, 31)]
    assert "left out (1): a point has no extent" in found.said


def test_labelme_moved_and_embedded_images(tmp_path: Path) -> None:
    labelme(tmp_path / "a", imagePath="C:\\x\\IMG_1.jpg")
    assert convert(tmp_path / "a").of("p0.jpg") == [("bolt", BOX)]
    data = base64.b64encode(picture(tmp_path / "p.jpg").read_bytes()).decode()
    labelme(tmp_path / "b", imageData=data)
    (tmp_path / "b" / "p0.jpg").unlink()
    found = convert(tmp_path / "b")
    assert found.of("p0.jpg") == [("bolt", BOX)] and "the one inside of the file is taken" in found.said
