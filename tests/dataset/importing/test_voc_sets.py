"""Pascal VOC files as tools and people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from foreign import BOX, convert, picture, voc, voc_object, write

from boxwright.errors import DataError


def one(folder: Path, text: str, image: str = "JPEGImages/p0.jpg", xml: str = "Annotations/p0.xml") -> Path:
    picture(folder / image)
    write(folder / xml, text)
    return folder


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("nuts &amp; bolts", "nuts & bolts"),
        ("screws &amp; bolts", "screws & bolts"),
        ("driver&apos;s seat", "driver's seat"),
        ("&lt;5mm", "<5mm"),
        ("&#233;crou", "écrou"),
        ("<![CDATA[a < b & c]]>", "a < b & c"),
        ("bo<!-- no -->lt", "bolt"),
        ("  bolt\n", "bolt"),
        ("<b>bo</b>lt", "bolt"),
        ("螺栓", "螺栓"),
    ],
)
def test_names_come_whole(tmp_path: Path, written: str, name: str) -> None:
    found = convert(one(tmp_path / "set", voc(voc_object(written))), kind="voc")
    assert found.boxes == {"p0.jpg": [(name, BOX)]}


def test_a_file_name_with_an_entity(tmp_path: Path) -> None:
    source = one(tmp_path / "set", voc(voc_object(), "cats &amp; dogs.jpg"), "JPEGImages/cats & dogs.jpg")
    assert set(convert(source).boxes) == {"cats & dogs.jpg"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "gb18030"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    name = "écrou" if encoding == "latin-1" else "螺栓"
    label = encoding.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{label}"?>\n' + voc(voc_object(name))
    source = one(tmp_path / "set", "x")
    (source / "Annotations/p0.xml").write_bytes(text.encode(encoding))
    assert convert(source).boxes == {"p0.jpg": [(name, BOX)]}


@pytest.mark.parametrize(
    ("images", "xmls"),
    [
        ("JPEGImages", "Annotations"),
        ("images", "annotations"),
        ("images", "annots"),
        ("", ""),
        ("VOC2012/JPEGImages", "VOC2012/Annotations"),
        ("images", "images"),
    ],
)
def test_layouts(tmp_path: Path, images: str, xmls: str) -> None:
    source = one(tmp_path / "set", voc(voc_object()), f"{images}/p0.jpg".lstrip("/"), f"{xmls}/p0.xml".lstrip("/"))
    found = convert(source)
    assert found.boxes == {"p0.jpg": [("bolt", BOX)]} and "voc, as" in found.said


def test_splits_of_folders(tmp_path: Path) -> None:
    for split in ("train", "test"):
        one(tmp_path / "set", voc(voc_object()), f"images/{split}/p0.jpg", f"annotations/{split}/p0.xml")
        one(tmp_path / "robo", voc(voc_object()), f"{split}/p0.jpg", f"{split}/p0.xml")
    assert convert(tmp_path / "set", split="test").converted.images == {"training": 1, "test": 1}
    assert convert(tmp_path / "robo", split="test").converted.images == {"training": 1, "test": 1}


def test_published_lists(tmp_path: Path) -> None:
    for number in range(4):
        one(
            tmp_path / "set",
            voc(voc_object(), f"p{number}.jpg"),
            f"JPEGImages/p{number}.jpg",
            f"Annotations/p{number}.xml",
        )
    lists = tmp_path / "set" / "ImageSets" / "Main"
    write(lists / "train.txt", "p0\n")
    write(lists / "val.txt", "p1\n")
    write(lists / "trainval.txt", "p0\np1\n")
    write(lists / "bolt_train.txt", "p0 1\n")
    write(lists / "test.txt", "p2  1\n")
    found = convert(tmp_path / "set", split="validation")
    assert set(found.boxes) == {"p1.jpg"} and found.converted.images == {"training": 1, "validation": 1, "test": 1}
    assert "left out (1): in no list of ImageSets/Main [1 image less, 1 box less]: Annotations/p3.xml" in found.said


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("p0", False),
        ("C:\\Users\\x\\p0.jpg", False),
        ("P0.JPG", True),
        ("p0.png", True),
        ("other.jpg", True),
    ],
)
def test_names_of_images_that_are_not_quite_right(tmp_path: Path, written: str, named: bool) -> None:
    found = convert(one(tmp_path / "set", voc(voc_object(), written)))
    assert found.boxes == {"p0.jpg": [("bolt", BOX)]}
    assert (f"image {written} is not there; taken as JPEGImages/p0.jpg" in found.said) == named


def test_all_files_name_the_same_image(tmp_path: Path) -> None:
    for number in range(3):
        one(tmp_path / "set", voc(voc_object(), "p0.jpg"), f"images/p{number}.jpg", f"annots/p{number}.xml")
    found = convert(tmp_path / "set")
    assert set(found.boxes) == {"p0.jpg", "p1.jpg", "p2.jpg"} and "the image of its own name is taken" in found.said


@pytest.mark.parametrize("size", ["", "<size/>", "<size><width>0</width><height>0</height></size>",
                                  "<size><width>160.0</width><height>120</height></size>"])  # fmt: skip
def test_sizes(tmp_path: Path, size: str) -> None:
    assert convert(one(tmp_path / "set", voc(voc_object(), size=size))).boxes == {"p0.jpg": [("bolt", BOX)]}


def test_pixels_are_counted_from_1_unless_there_is_a_0(tmp_path: Path) -> None:
    one(tmp_path / "set", voc(voc_object(box=(1, 1, 160, 120)) + voc_object(box=(11, 21, 30, 40))))
    assert convert(tmp_path / "set").of("p0.jpg") == [("bolt", (0, 0, 160, 120)), ("bolt", (10, 20, 30, 40))]
    one(tmp_path / "set", voc(voc_object(box=(0, 5, 160, 120))), "JPEGImages/p1.jpg", "Annotations/p1.xml")
    found = convert(tmp_path / "set")
    assert found.of("p1.jpg") == [("bolt", (0, 5, 160, 120))] and found.of("p0.jpg")[0] == ("bolt", (1, 1, 160, 120))
    assert "boxes begin at 0" in found.said


def test_exchanged_and_wrong_sizes_are_named(tmp_path: Path) -> None:
    exchanged = "<size><width>120</width><height>160</height></size>"
    found = convert(one(tmp_path / "a", voc(voc_object(box=(101, 21, 150, 60)), size=exchanged)))
    assert found.of("p0.jpg") == [("bolt", (100, 20, 150, 60))] and "width and height are exchanged" in found.said
    wrong = "<size><width>320</width><height>240</height></size>"
    assert "image_size_mismatch" in convert(one(tmp_path / "b", voc(voc_object(), size=wrong))).said


def test_objects(tmp_path: Path) -> None:
    parts = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>"
    rotated = (
        "<object><type>robndbox</type><name>nut</name><robndbox><cx>80</cx><cy>60</cy><w>40</w><h>20</h>"
        "<angle>1.5707963</angle></robndbox></object>"
    )
    polygon = (
        "<object><name>nut</name><polygon><x1>5</x1><y1>6</y1><x2>50</x2><y2>6</y2><x3>50</x3><y3>70</y3></polygon>"
        "</object>"
    )
    objects = [
        voc_object(more=parts),
        voc_object(box=("21.5", "21.25", "60.0", "6e1")),
        voc_object(box=(60, 60, 21, 21)),
        voc_object(more="<difficult>1</difficult>"),
        rotated,
        polygon,
    ]
    found = convert(one(tmp_path / "set", voc("".join(objects))))
    assert found.of("p0.jpg") == [
        ("bolt", BOX),
        ("bolt", (20.5, 20.25, 60, 60)),
        ("bolt", BOX),
        ("bolt", BOX),
        ("nut", (70, 40, 90, 80)),
        ("nut", (5, 6, 50, 70)),
    ]
    for words in (
        "parts of an object",
        "object 1: head",
        "corners in the wrong order",
        "object 3",
        "difficult",
        "rotated",
    ):
        assert words in found.said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (voc("<object><bndbox/></object>"), "p0.xml: object 1: expected a <name>"),
        (voc("<object><name>a</name></object>"), "expected a <bndbox>, got none"),
        (voc(voc_object(box=("1", "nan", "3", "4"))), "<ymin> as a finite number, got 'nan'"),
        (voc(voc_object(box=("", "2", "3", "4"))), "<xmin> as a finite number, got ''"),
        (voc(voc_object(box=("1</xmin><xmin>9", "2", "3", "4"))), "expected one <xmin> in <bndbox>, got 2"),
        (voc(voc_object("nuts & bolts")), "not XML at line 1, column"),
        (voc(voc_object())[:-20], "not XML at line 1"),
        ("", "not XML at line 1, column 0: no element found"),
        ('<!DOCTYPE a [<!ENTITY e "x"><!ENTITY f "&e;&e;">]>' + voc(voc_object("&f;")), "declares entities of its own"),
        (
            '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + voc(voc_object("&e;")),
            "declares entities of its own",
        ),
        (voc(voc_object("&eacute;")), "undefined entity"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, text: str, words: str) -> None:
    source = one(tmp_path / "set", text)
    one(source, voc(voc_object(), "p1.jpg"), "JPEGImages/p1.jpg", "Annotations/p1.xml")
    with pytest.raises(DataError) as caught:
        convert(source, kind="voc")
    assert words in str(caught.value) and "Annotations/p0.xml" in str(caught.value)
    assert convert(source, kind="voc", on_invalid="drop").of("p1.jpg") == [("bolt", BOX)]


def test_images_without_a_file_are_named(tmp_path: Path) -> None:
    source = one(tmp_path / "set", voc(voc_object()))
    picture(source / "JPEGImages" / "p7.jpg")
    assert "no label names this image" in (found := convert(source)).said and "JPEGImages/p7.jpg" in found.said
    with pytest.raises(DataError, match="JPEGImages/p7.jpg"):
        convert(source, strict=True)
