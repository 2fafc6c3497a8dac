"""The pictures of a set: EXIF flags, formats that are not read, broken files, and names."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import BOX, HEIGHT, WIDTH, YOLO_LINE, coco, convert, picture, voc, voc_object, write, yolo
from PIL import Image
from tool_exports import labelme

from boxwright.errors import DataError
from boxwright.images.decoding import encoded_image


def turned_box(orientation: int, box: tuple[int, ...], size: tuple[int, int]) -> tuple[float, ...]:
    """Where Pillow shows a box of the stored picture: by turning a picture of it."""
    from PIL import ImageDraw, ImageOps

    drawn = Image.new("L", size)
    ImageDraw.Draw(drawn).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    drawn.info["exif"] = exif.tobytes()
    drawn.getexif()[0x0112] = orientation
    return tuple(map(float, ImageOps.exif_transpose(drawn).getbbox() or ()))


def written(folder: Path) -> tuple[int, int]:
    record = json.loads((folder / "annotations.json").read_text())["images"][0]
    return record["width"], record["height"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(200, 100), (120, 120)])
@pytest.mark.parametrize("told", ["upright", "raw"])
def test_boxes_go_with_the_picture(tmp_path: Path, orientation: int, size: tuple[int, int], told: Any) -> None:
    """What is written is the picture as shown, in the frame that training reads."""
    box = (20, 30, 70, 90)
    shown = size[::-1] if orientation > 4 else size
    own = size if told == "raw" else shown
    folder = yolo(tmp_path / "set")
    path = picture(folder / "images" / "p0.jpg", 0, size, orientation)
    x, y, width, height = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]
    write(folder / "labels" / "p0.txt", f"0 {x / own[0]} {y / own[1]} {width / own[0]} {height / own[1]}")
    found = convert(folder, boxes=told)
    expected = turned_box(orientation, box, size) if told == "raw" else tuple(map(float, box))
    assert found.of("p0.jpg") == [("bolt", expected)] and written(found.folder) == shown
    # Training turns it exactly where it has a flag: the boxes are those of the picture as shown.
    assert (encoded_image(path.read_bytes(), shown).reason == "orientation") == (orientation != 1)


def test_sizes_of_label_studios_coco_say_nothing_of_its_boxes(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "images" / "p0.jpg", 0, (160, 120), 6)
    document = coco(["p0.jpg"], info={"contributor": "Label Studio", "version": "1.0"})
    found = convert(write(tmp_path / "set" / "result.json", json.dumps(document)))
    assert found.of("p0.jpg") == [("bolt", BOX)] and written(found.folder) == (120, 160)
    assert "EXIF orientation 6: boxes are taken as drawn on the picture as shown" in found.said
    picture(tmp_path / "set" / "images" / "p0.jpg", 0, (80, 60))
    assert "image_size_mismatch" in convert(tmp_path / "set").said


@pytest.mark.parametrize("of", ["raw", "upright"])
def test_a_written_size_tells_which_picture_it_is(tmp_path: Path, of: str) -> None:
    picture(tmp_path / "set" / "JPEGImages" / "p0.jpg", 0, (200, 100), 6)
    width, height = (200, 100) if of == "raw" else (100, 200)
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    write(tmp_path / "set" / "Annotations" / "p0.xml", voc(voc_object(box=(21, 31, 60, 50)), size=size))
    found = convert(tmp_path / "set")
    assert found.of("p0.jpg") == [("bolt", (50, 20, 70, 60) if of == "raw" else (20, 30, 60, 50))]
    assert written(found.folder) == (100, 200) and "EXIF" not in found.said


def test_a_guess_about_the_flag_is_named(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    picture(folder / "images" / "p0.jpg", 0, (200, 100), 6)
    write(folder / "labels" / "p0.txt", "0 0.5 0.25 0.2 0.1")
    found = convert(folder)
    assert found.of("p0.jpg") == [("bolt", (40, 40, 60, 60))] and "EXIF orientation 6" in found.said


@pytest.mark.parametrize(("extension", "kind"), [("bmp", "BMP"), ("webp", "WEBP"), ("tif", "TIFF"), ("gif", "GIF")])
def test_other_formats_are_named_and_written_on_demand(tmp_path: Path, extension: str, kind: str) -> None:
    folder = yolo(tmp_path / "set")
    (folder / "images" / "p0.jpg").unlink()
    picture(folder / "images" / f"p0.{extension}")
    with pytest.raises(DataError, match=f"p0.{extension} is {kind}, not JPEG or PNG; give --reencode"):
        convert(folder)
    found = convert(folder, reencode=True)
    assert found.of("p0.png") == [("bolt", BOX)] and f"{kind} written as PNG" in found.said


@pytest.mark.parametrize("extension", ["gif", "tif", "webp"])
def test_of_several_pictures_in_a_file_the_first_is_taken_and_it_is_said(tmp_path: Path, extension: str) -> None:
    folder = yolo(tmp_path / "set")
    (folder / "images" / "p0.jpg").unlink()
    first, *others = [Image.new("RGB", (WIDTH, HEIGHT), (255 * (i == 0), 0, 0)) for i in range(3)]
    first.save(folder / "images" / f"p0.{extension}", save_all=True, append_images=others, lossless=True)
    found = convert(folder, reencode=True)
    assert "of several pictures in a file the first is taken" in found.said
    with Image.open(found.folder / "images" / "p0.png") as written:
        assert written.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_a_picture_inside_of_its_file_is_written_on_demand(tmp_path: Path) -> None:
    data = base64.b64encode(picture(tmp_path / "p.webp").read_bytes()).decode()
    labelme(tmp_path / "set", imageData=data, imagePath="p0.webp")
    (tmp_path / "set" / "p0.jpg").unlink()
    with pytest.raises(DataError, match="p0.json: p0.webp is WEBP, not JPEG or PNG; give --reencode"):
        convert(tmp_path / "set")
    assert convert(tmp_path / "set", reencode=True).boxes == {"p0.png": [("bolt", BOX)]}


@pytest.mark.parametrize(("kind", "mode"), [("<u2", "I;16"), (">u2", "I;16"), ("<i4", "I;16")])
def test_many_bits_of_a_pixel_are_kept(tmp_path: Path, kind: str, mode: str) -> None:
    values = np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH) * 3
    folder = tiff(tmp_path / "set", values.astype(kind), {"<u2": "I;16", ">u2": "I;16B", "<i4": "I"}[kind])
    with Image.open(convert(folder, reencode=True).folder / "images" / "p0.png") as written:
        assert written.mode == mode and (np.asarray(written) == values).all()


def test_pixels_that_png_does_not_have_are_named(tmp_path: Path) -> None:
    values = np.arange(WIDTH * HEIGHT, dtype="<f4").reshape(HEIGHT, WIDTH)
    folder = tiff(tmp_path / "set", values, "F")
    with pytest.raises(DataError, match=r"labels/p0.txt: its pixels go from 0 to 19199, which PNG does not have"):
        convert(folder, reencode=True)
    few = tiff(tmp_path / "few", values % 256, "F")
    with Image.open(convert(few, reencode=True).folder / "images" / "p0.png") as written:
        assert (np.asarray(written) == values % 256).all()


def tiff(folder: Path, values: np.ndarray, mode: str) -> Path:
    """A set of YOLO with one TIFF of these pixels."""
    path = yolo(folder) / "images" / "p0.tif"
    Image.frombytes(mode, values.shape[::-1], values.tobytes()).save(path)
    path.with_suffix(".jpg").unlink()
    return folder


def test_a_file_with_the_wrong_extension(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    picture(folder / "images" / "p0.webp").rename(folder / "images" / "p0.jpg")
    with pytest.raises(DataError, match="p0.jpg is WEBP, not JPEG or PNG; give --reencode"):
        convert(folder)
    picture(folder / "images" / "p0.jpg").rename(folder / "images" / "p0.jfif")
    found = convert(folder)
    assert found.of("p0.jpg") == [("bolt", BOX)] and "another extension" in found.said


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    write(folder / "images" / "p0.jpg", b"\xff\xd8\xff\xe0 nothing")
    write(folder / "images" / "p3.heic", b"\0\0\0\x18ftypheic")
    with pytest.raises(DataError) as caught:
        convert(folder)
    assert "labels/p0.txt" in str(caught.value) and "p3.heic" in str(caught.value)
    assert set(convert(folder, on_invalid="drop").boxes) == {"p1.jpg"}


def test_unicode_forms_and_case(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9.jpg", "cafe\u0301.jpg"
    picture(tmp_path / "set" / "images" / decomposed)
    source = write(tmp_path / "set" / "a.json", json.dumps(coco([composed])))
    with pytest.raises(DataError, match=f"image {composed} does not exist; did you mean {decomposed}"):
        convert(source)


def test_names_are_shown_as_written(tmp_path: Path) -> None:
    source = write(tmp_path / "set" / "a.json", json.dumps(coco(["照片 ü.jpg"])))
    with pytest.raises(DataError, match="照片 ü.jpg does not exist"):
        convert(source)


def test_two_files_that_would_become_one(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    picture(folder / "images" / "p0.bmp")
    picture(folder / "images" / "p0.png")
    (folder / "images" / "p0.jpg").unlink()
    with pytest.raises(DataError, match="the name p0.png is that of"):
        convert(folder, reencode=True)


def test_boxes_that_validation_will_refuse_are_named(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    write(folder / "labels" / "p0.txt", f"0 0.5 0.5 0 0.1\n0 0.9 0.5 0.4 0.1\n{YOLO_LINE}")
    said = convert(folder).said
    assert "box_without_area: labels/p0.txt: line 1" in said and "box_outside_image: labels/p0.txt: line 2" in said
