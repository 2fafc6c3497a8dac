"""`boxwright.Detector`: any form of an image gives the same boxes, and what is no image is named."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from finder import BLUE_BOX, RED_BOX, encoded, scene
from PIL import Image

import boxwright
from boxwright.errors import DataError, PartlyError, StorageError, UsageError


@pytest.fixture(scope="module")
def detector(finder: Path) -> boxwright.Detector:
    return boxwright.Detector(finder)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(scene(), "PNG"))
    return path


def test_every_form_of_an_image_gives_the_same_boxes(detector: boxwright.Detector, photo: Path) -> None:
    image = Image.open(photo)
    palette = image.convert("P", palette=Image.Palette.ADAPTIVE)
    for given in (photo, str(photo), photo.read_bytes(), image, palette, np.asarray(image)):
        found = detector.detect(given, threshold=0)
        assert (found.width, found.height) == (200, 100)
        assert found.labels == list(detector.class_names) and found.classes.tolist() == [0, 1]
        np.testing.assert_allclose(found.boxes, [RED_BOX, BLUE_BOX], atol=1)
        np.testing.assert_allclose(found.normalized_boxes * [200, 100, 200, 100], found.boxes)
        assert found.scores.tolist() == pytest.approx([0.9, 0.25])
    assert found.source == "image" and detector.detect(photo).source == str(photo)


def test_another_process_opens_the_same_model(
    finder: Path, photo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(finder.parent)
    sent = pickle.dumps(boxwright.Detector(finder.name, threads=1))
    monkeypatch.chdir(tmp_path)
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).detect(sys.argv[1], threshold=0).labels)"
    done = subprocess.run([sys.executable, "-c", code, str(photo)], input=sent, capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(boxwright.Detector(finder).detect(photo, threshold=0).labels)


def test_a_pil_image_is_seen_as_a_person_sees_it(detector: boxwright.Detector) -> None:
    turned = scene().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter, clockwise
    image = Image.open(io.BytesIO(encoded(turned, "PNG", exif=exif)))
    assert image.size == (100, 200)
    found = detector.detect(image, threshold=0)
    assert (found.width, found.height) == (200, 100)
    np.testing.assert_allclose(found.boxes, [RED_BOX, BLUE_BOX], atol=1)


def test_the_threshold_is_the_models_own_unless_one_is_given(detector: boxwright.Detector, photo: Path) -> None:
    assert detector.threshold == 0.5
    assert len(detector.detect(photo)) == 1 and len(detector.detect(photo, threshold=0.1)) == 2
    (thing,) = detector.detect(photo, threshold=0.1).at_least(0.8)
    assert (thing.label, round(thing.score, 3)) == ("red thing", 0.9)
    assert thing.box == pytest.approx(RED_BOX, abs=1)
    for wrong in (2, float("nan"), "0.5", [0.5]):
        with pytest.raises(UsageError, match="threshold=.*expected a score from 0 to 1"):
            detector.detect(photo, threshold=wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="threshold=.*expected a score from 0 to 1"):
            detector.detect(photo).at_least(wrong)  # type: ignore[arg-type]


def test_pixels_of_every_mode_are_seen_as_the_decoder_of_a_file_sees_them(detector: boxwright.Detector) -> None:
    levels = np.linspace(0, 65535, 200 * 100).reshape(100, 200).astype(np.uint16)
    transparent = scene().convert("P")
    transparent.info["transparency"] = 0
    half = scene().convert("RGBA")
    half.putalpha(Image.linear_gradient("L").resize((200, 100)))
    for image in (half, transparent, scene().convert("LA"), scene().convert("1"), Image.fromarray(levels)):
        before = dict(image.info)
        given, of_file = detector.detect(image, threshold=0), detector.detect(encoded(image, "PNG"), threshold=0)
        assert given.image().tobytes() == of_file.image().tobytes(), image.mode
        assert image.info == before
    for mode in ("I", "F"):
        with pytest.raises(UsageError, match=rf"mode {mode} has values of any range; `image.convert\('L'\)`"):
            detector.detect(scene().convert("L").convert(mode))


def closed() -> Image.Image:
    image = Image.open(io.BytesIO(encoded(scene())))
    image.close()
    return image


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        (np.zeros((4, 4, 3)), UsageError, "uint8.*got an array of float64.*multiplied by 255"),
        (np.zeros((4, 4, 3), int), UsageError, r"got an array of int64 .*astype\('uint8'\)"),
        (np.zeros((4, 4), np.uint8), UsageError, r"got an array of uint8 \(4, 4\); gray is given three times"),
        (np.zeros((4, 4, 1), np.uint8), UsageError, r"got an array of uint8 \(4, 4, 1\); gray is given three times"),
        (np.zeros((4, 4, 4), np.uint8), UsageError, r"\(4, 4, 4\); alpha is left out: `array\[..., :3\]`"),
        (np.zeros((3, 8, 9), np.uint8), UsageError, r"\(3, 8, 9\); channels come last"),
        (np.zeros((2, 8, 9, 3), np.uint8), UsageError, r"\(2, 8, 9, 3\); a batch is given as a list"),
        (np.zeros((0, 4, 3), np.uint8), UsageError, r"got an array of uint8 \(0, 4, 3\)$"),
        (5, UsageError, "got int 5"),
        (None, UsageError, "got None"),
        (io.BytesIO(encoded(scene())), UsageError, r"got BytesIO .*; `.read\(\)` gives its bytes"),
        (bytearray(encoded(scene())), UsageError, r"got bytearray .*; `bytes\(...\)` makes bytes of it"),
        ([[1, 2], [3, 4]], UsageError, r"image 1: expected a path.* got list \[1, 2\]"),
        (Image.new("RGB", (0, 0)), DataError, "image: the image cannot be read: "),
        (closed(), DataError, "image: the image cannot be read: "),
        ("", UsageError, "'' is not a folder or file"),
        (b"", DataError, "has no bytes"),
        (b"GIF89a", DataError, "not JPEG or PNG"),
        ("nowhere.jpg", DataError, "nowhere.jpg does not exist"),
        (".", UsageError, "is a folder; `detect_all` takes it"),
    ],
)
def test_what_is_no_image_is_named(
    given: object, kind: type[Exception], said: str, detector: boxwright.Detector
) -> None:
    with pytest.raises(kind, match=said):
        detector.detect(given)  # type: ignore[call-overload]


def test_what_is_no_list_of_images_is_named(detector: boxwright.Detector) -> None:
    for given in (None, 5, scene(), encoded(scene()), np.asarray(scene())):
        with pytest.raises(UsageError, match="images: expected a folder.*; `detect` takes one image"):
            list(detector.detect_all(given))  # type: ignore[arg-type]
    assert len(list(detector.detect_all(scene() for _ in range(2)))) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (None, "got None"),
        (["models:/cells/1"], "got list"),
        ("dfine-nano", r"dfine-nano is an architecture, and `boxwright.train\(dataset, model_id='dfine-nano'\)`"),
    ],
)
def test_what_is_no_model_is_named(model: Any, said: str, detector: boxwright.Detector, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"models:/NAME.*{said}"):
        boxwright.Detector(model)
    with pytest.raises(UsageError, match=f"models:/NAME.*{said}"):
        detector.compare(model, tmp_path)


def test_a_file_that_is_no_archive_is_named_as_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_text("{}")
    with pytest.raises(DataError, match=f"^{tmp_path}/model.tar.gz is not a complete .tar.gz"):
        boxwright.Detector(tmp_path / "model.tar.gz")


def test_a_detector_in_place_of_a_model_or_dataset_is_named(detector: boxwright.Detector, finder: Path) -> None:
    with pytest.raises(UsageError, match="got Detector .*; take its `.model`"):
        boxwright.Detector(detector)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="dataset: expected a folder or s3:// prefix.* got Detector"):
        detector.compare(finder, detector)  # type: ignore[arg-type]


def test_where_nothing_can_be_written_is_said_before_anything_is_done(
    detector: boxwright.Detector, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for write in (
        lambda place: detector.detect(photo).save(f"{place}/drawn.png"),
        lambda place: detector.evaluate("nowhere", report=place),
        lambda place: boxwright.validate("nowhere", report=place),
        lambda place: detector.export(place),
    ):
        with pytest.raises(UsageError, match="s3://bucket/.*: expected a path of this machine"):
            write("s3://bucket/results")
        with pytest.raises(UsageError, match=r"photo\.png is a file, not a folder"):
            write(str(photo))
    with pytest.raises(UsageError, match="format=None: expected litert"):
        detector.export(tmp_path / "exported", None)  # type: ignore[arg-type]
    (tmp_path / "exported").rmdir()
    with pytest.raises(UsageError, match="has other files, which would be replaced"):
        detector.export(tmp_path)
    assert photo.exists() and [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_bad_images_among_good_ones_are_named_after_the_last_one(
    detector: boxwright.Detector, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(encoded(scene())[:300])
    (tmp_path / "later.png").write_bytes(photo.read_bytes())
    seen = []
    with pytest.raises(PartlyError, match=r"1 of 3 images: .*broken\.jpg: the image cannot be read"):
        for found in detector.detect_all(tmp_path):
            seen.append(Path(found.source).name)
    assert seen == ["later.png", "photo.png"]
    with pytest.raises(PartlyError, match="1 of 2 images: image 2: "):
        detector.detect([scene(), b"nothing"])
    assert [one.source for one in detector.detect([photo, scene()])] == [str(photo), "image 2"]
    with pytest.raises(DataError, match="has no image"):
        list(detector.detect_all(tmp_path / "nothing"))


def test_detections_become_a_picture_and_coco_results(
    detector: boxwright.Detector, photo: Path, tmp_path: Path
) -> None:
    found = detector.detect(photo)
    assert repr(found) == f"<Detections on {photo}: 1 red thing>"
    picture = Image.open(found.save(tmp_path / "drawn.png"))
    assert picture.size == found.image().size == (200, 100)
    assert picture.convert("RGB").tobytes() != scene().tobytes()
    assert found._repr_png_() == (tmp_path / "drawn.png").read_bytes()
    (result,) = found.to_coco(image_id=12)
    assert (result["image_id"], result["category_id"], result["label"]) == (12, 7, "red thing")
    assert result["bbox"] == pytest.approx([20, 10, 60, 30], abs=1)
    assert json.dumps(found.to_coco(np.int64(12))) == json.dumps([result])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="image_id: expected an integer, got str '12'"):
        found.to_coco("12")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="ends in .png"):
        found.save(tmp_path / "drawn.jpg")


def test_nothing_found_is_told_in_every_form(detector: boxwright.Detector, photo: Path, tmp_path: Path) -> None:
    found = detector.detect(photo, threshold=1)
    assert len(found) == 0 and not found and list(found) == [] and found.labels == [] and found.to_coco() == []
    assert found.boxes.shape == found.normalized_boxes.shape == (0, 4)
    assert repr(found) == f"<Detections on {photo}: nothing>"
    drawn = Image.open(found.save(tmp_path / "drawn.png"))
    assert drawn.convert("RGB").tobytes() == scene().tobytes()
    assert found != detector.detect(photo, threshold=1) and found in [found]


def test_a_notebook_shows_what_was_found_below_the_cell(
    detector: boxwright.Detector, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[object] = []
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=None))
    monkeypatch.setattr("IPython.display.display", shown.append)
    (found := detector.detect(photo)).show()
    assert shown == [found]


def test_several_threads_may_use_one_detector(detector: boxwright.Detector, photo: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(detector.detect, [photo] * 12))
    assert [one.labels for one in found] == [["red thing"]] * 12


def test_a_server_answers_until_its_block_ends(detector: boxwright.Detector, photo: Path) -> None:
    with detector.serve(port=0, max_batch=2) as server:
        headers = {"Content-Type": "image/png"}
        answer = httpx.post(f"{server.url}/invocations", content=photo.read_bytes(), headers=headers)
        assert answer.json()["scores"][0] == pytest.approx(0.9)
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)
    with pytest.raises(UsageError, match="max_batches"):
        detector.serve(max_batches=2)


def test_a_server_that_cannot_start_says_why(detector: boxwright.Detector) -> None:
    with detector.serve(port=0) as server, pytest.raises(StorageError, match="Address already in use"):
        detector.serve(port=int(server.url.rpartition(":")[2]))
