"""`boxwright.Detector`: any form of an image gives the same boxes, and what is no image is named."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
    with pytest.raises(UsageError, match="threshold=2"):
        detector.detect(photo, threshold=2)


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        (np.zeros((4, 4, 3)), UsageError, "uint8.*got an array of float64.*multiplied by 255"),
        (np.zeros((4, 4), np.uint8), UsageError, r"got an array of uint8 \(4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), UsageError, r"got an array of uint8 \(0, 4, 3\)"),
        (5, UsageError, "got int 5"),
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
    json.dumps(result)
    with pytest.raises(UsageError, match="ends in .png"):
        found.save(tmp_path / "drawn.jpg")


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
