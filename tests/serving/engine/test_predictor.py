"""One model, all ways: the boxes of the evaluation, of the SavedModel alone and of the predictor are the same."""

from __future__ import annotations

import base64
import json
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finder import BLUE_BOX, LABELS, RED_BOX, encoded, export_finder, scene, write_facts
from PIL import Image

from boxwright.config import ServingConfig
from boxwright.dataset.examples.build import build_examples
from boxwright.dataset.examples.summary import ExamplesSummary
from boxwright.dataset.sample.generate import generate_sample
from boxwright.dataset.snapshot.download import download_dataset
from boxwright.errors import DataError
from boxwright.evaluation.predict import predict_split
from boxwright.images import Tiling
from boxwright.model.store import ModelCard, build_detector, load_detector, save_detector
from boxwright.packaging.sample import SAMPLE_FILE, write_sample
from boxwright.packaging.saved_model import export_saved_model
from boxwright.registry.open_model import resolve_model
from boxwright.serving.batch.files import look_at, record
from boxwright.serving.engine.loading import load_predictor
from boxwright.serving.engine.model import FALLBACK_THRESHOLD
from boxwright.serving.engine.picture import Picture, RefusedImageError, read_picture
from boxwright.serving.engine.predictor import Detections, Predictor

LIMITS = ServingConfig()
# Between a batch of one and one of eight the order of additions differs.
TOLERANCE = 1e-4
MAX_PIXELS = 10**7


def load(folder: Path) -> Predictor:
    return load_predictor(resolve_model(str(folder)))


@pytest.fixture(scope="module")
def predictor(finder: Path) -> Predictor:
    return load(finder)


class Trained:
    """A `tiny` detector with random weights as a run leaves it: examples, model, evaluation and package content."""

    def __init__(self, root: Path, **card_fields: Any) -> None:
        import keras

        generate_sample(root / "set", images=20, seed=3)
        self.images = root / "set" / "test" / "images"
        self._make_unusual(sorted(self.images.iterdir()))
        self.examples, self.model, self.evaluation, self.package = (
            root / name for name in ("examples", "model", "evaluation", "package")
        )
        for folder in (self.examples, self.model, self.evaluation, self.package):
            folder.mkdir()
        self._build_examples(root)
        described = ExamplesSummary.read(self.examples)
        classes, ids = described.classes, described.category_ids
        keras.utils.set_random_seed(5)
        card = ModelCard(model_id="tiny", image_size=128, classes=classes, category_ids=ids, **card_fields)
        save_detector(build_detector(card), card, self.model)
        detector, _ = load_detector(self.model)
        shards = sorted((self.examples / "test").glob("*.tfrecord"))
        self.detections = predict_split(detector, shards, ids).detections
        (self.evaluation / "detections.json").write_text(json.dumps(self.detections))
        (self.evaluation / "metrics.json").write_text(json.dumps({"split": "test", "metrics": {}, "threshold": 0.01}))
        export_saved_model(self.model, self.package)
        write_sample(self.examples, self.evaluation, self.package)
        shutil.copy(self.model / "model.json", self.package)
        shutil.copy(self.model / "model.weights.h5", self.package)
        shutil.copy(self.evaluation / "metrics.json", self.package)

    def _build_examples(self, root: Path) -> None:
        from boxwright.config import parse_config

        values = {split: str(root / "set" / split) for split in ("training", "validation", "test")}
        download_dataset(parse_config(values | {"output": "unused"}), root / "dataset")
        build_examples(root / "dataset", self.examples, 0.2)

    @staticmethod
    def _make_unusual(images: list[Path]) -> None:
        """The first is stored lying on its side with a flag, the second is CMYK; both show what they showed."""
        with Image.open(images[0]) as opened:
            exif = Image.Exif()
            exif[0x0112] = 6
            opened.convert("RGB").transpose(Image.Transpose.ROTATE_90).save(images[0], "JPEG", quality=95, exif=exif)
        with Image.open(images[1]) as opened:
            opened.convert("CMYK").save(images[1], "JPEG", quality=95)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Trained:
    return Trained(tmp_path_factory.mktemp("trained"), **getattr(request, "param", {}))


# How models look at images; the set's are 320 x 240 and 240 x 320.
VIEWINGS = [{}, {"resize": "letterbox"}, {"resize": "letterbox", "tiling": Tiling(size=150, overlap=0.2)}]
each_viewing = pytest.mark.parametrize("trained", VIEWINGS, indirect=True, ids=["stretch", "letterbox", "tiles"])


def by_image(trained: Trained) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    records = json.loads((trained.examples / "test" / "annotations.json").read_text())["images"]
    for image in records:
        yield image["file_name"], [one for one in trained.detections if one["image_id"] == image["id"]]


@each_viewing
def test_the_predictor_sees_what_the_evaluation_saw(trained: Trained) -> None:
    predictor = load(trained.package)
    names, expected = zip(*by_image(trained), strict=True)
    uris = [str(next(trained.images.parent.rglob(Path(name).name))) for name in names]
    found = [record(looked, 0, looked.uri, predictor.info, 0.0) for looked in look_at(predictor, uris, LIMITS)]
    assert len(found) == len(expected) > 0
    for told, wanted in zip(found, expected, strict=True):
        assert len(told["detections"]) == len(wanted) > 10
        size = max(told["width"], told["height"])
        for one, other in zip(told["detections"][:10], wanted[:10], strict=True):
            assert one["category_id"] == other["category_id"]
            assert one["score"] == pytest.approx(other["score"], abs=TOLERANCE)
            assert one["bbox"] == pytest.approx(other["bbox"], abs=max(TOLERANCE * size, 0.01))


@each_viewing
def test_the_saved_model_alone_sees_the_same(trained: Trained) -> None:
    import tensorflow as tf

    signature = tf.saved_model.load(str(trained.package / "saved_model")).signatures["serving_default"]
    predictor = load(trained.package)
    for path in sorted(trained.images.iterdir())[2:]:  # neither flag nor CMYK: those a stock container reads as stored
        data = path.read_bytes()
        alone = {name: value.numpy()[0] for name, value in signature(encoded_images=tf.constant([data])).items()}
        (seen,) = predictor.predict([read_picture(data, MAX_PIXELS)])
        assert isinstance(seen, Detections)
        count = int(alone["num_detections"])
        assert len(seen.boxes) == count > 0
        np.testing.assert_allclose(seen.boxes, alone["detection_boxes"][:count], atol=1e-6)
        np.testing.assert_array_equal(seen.classes, alone["detection_classes"][:count] - 1)


def test_a_batch_gives_each_image_what_it_gets_alone(predictor: Predictor) -> None:
    pictures = [read_picture(encoded(scene(width, 100)), MAX_PIXELS) for width in (200, 300, 120)]
    together = predictor.predict(pictures)
    for picture, one in zip(pictures, together, strict=True):
        (alone,) = predictor.predict([picture])
        assert isinstance(one, Detections) and isinstance(alone, Detections)
        np.testing.assert_allclose(one.boxes, alone.boxes, atol=1e-6)
    assert predictor.predict([]) == []


def test_a_broken_image_is_named_and_the_others_of_its_batch_are_seen(predictor: Predictor) -> None:
    good, data = read_picture(encoded(scene()), MAX_PIXELS), encoded(scene())
    broken = Picture(data[: len(data) // 2], 200, 100)
    first, second, third, fourth = predictor.predict([good, broken, good, broken])
    assert isinstance(first, Detections) and isinstance(third, Detections)
    assert (first.boxes * [100, 200, 100, 200])[0] == pytest.approx([10, 20, 40, 80], abs=1)
    for refused in (second, fourth):
        assert isinstance(refused, RefusedImageError) and refused.code == "image_unreadable"
        assert "broken or truncated" in str(refused) and "\n" not in str(refused)


def test_nothing_that_trains_is_needed(finder: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from boxwright.registry.open_model import resolve_model\n"
        "from boxwright.serving.engine import load_predictor\n"
        f"load_predictor(resolve_model({str(finder)!r}))\n"
        "print([name for name in ('great_expectations', 'tfx', 'mlflow', 'fastapi') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def other(finder: Path, tmp_path: Path) -> Path:
    """A copy of the model's folder, to be spoilt."""
    return Path(shutil.copytree(finder, tmp_path / "other"))


def test_the_threshold_is_the_archives_and_else_a_fallback(other: Path) -> None:
    info = load(other).info
    assert (info.threshold, info.threshold_origin) == (0.5, "metrics.json")
    write_facts(other, threshold=None)
    assert (load(other).info.threshold, load(other).info.threshold_origin) == (FALLBACK_THRESHOLD, "fallback")
    (other / "metrics.json").unlink()
    assert load(other).info.metrics == {}


def test_a_model_that_sees_what_it_was_measured_with_is_taken(trained: Trained, tmp_path: Path) -> None:
    sample = json.loads((trained.package / SAMPLE_FILE).read_text())
    assert 0 < len(sample["detections"]) <= 20
    spoilt = Path(shutil.copytree(trained.package, tmp_path / "spoilt"))
    # Other weights under the same files.
    import keras

    keras.utils.set_random_seed(6)
    _, card = load_detector(trained.model)
    (tmp_path / "model").mkdir()
    save_detector(build_detector(card), card, tmp_path / "model")
    shutil.copy(tmp_path / "model" / "model.weights.h5", spoilt)
    with pytest.raises(DataError, match="not the model that was evaluated"):
        load(spoilt)
    (spoilt / SAMPLE_FILE).unlink()
    with pytest.raises(DataError, match="has no sample.json.*--trust-saved-model"):
        load(spoilt)


def test_a_model_that_saw_nothing_has_a_sample_too(trained: Trained, tmp_path: Path) -> None:
    evaluation = Path(shutil.copytree(trained.evaluation, tmp_path / "evaluation"))
    (evaluation / "detections.json").write_text("[]")
    write_sample(trained.examples, evaluation, tmp_path)
    sample = json.loads((tmp_path / SAMPLE_FILE).read_text())
    assert sample["detections"] == [] and sample["image"]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: (folder / "model.weights.h5").unlink(), "no model.weights.h5, from which Boxwright builds"),
        (lambda folder: (folder / "model.weights.h5").write_bytes(b"x" * 100), "expected a file of weights"),
        (lambda folder: (folder / "model.json").unlink(), "model.json"),
        (lambda folder: (folder / "model.json").write_text("{}"), "model.json"),
        (lambda folder: (folder / "metrics.json").write_text('{"threshold": 2}'), "'threshold' is 2"),
        (lambda folder: (folder / "metrics.json").write_text("[]"), "metrics.json"),
        (lambda folder: (folder / "sample.json").write_text("{}"), "sample.json"),
        (lambda folder: _with_sample(folder, image="aGVsbG8="), "image in its sample.json cannot be read"),
        (lambda folder: _with_sample(folder, image=_huge_png()), "cannot be read .DecompressionBomb"),
        (lambda folder: _with_card(folder, classes=LABELS[:1], category_ids=[1]), "class 2 of 1"),
        (lambda folder: _with_card(folder, classes=LABELS[:1]), "1 classes and 2 category ids"),
        (lambda folder: _with_card(folder, classes=["x"] * 40_000), "classes"),
        (lambda folder: _with_card(folder, classes=[]), "classes"),
        (lambda folder: _with_card(folder, model_id="../../etc/passwd"), "model_id '../../etc/passwd' is unknown"),
        (lambda folder: _with_card(folder, model_id="x" * 500), "model_id"),
        (lambda folder: _with_card(folder, image_size=1 << 30), "image_size"),
        (lambda folder: _with_card(folder, image_size=399), "image_size=399: expected a multiple of 8"),
        (lambda folder: _with_card(folder, image_size=True), "image_size"),
        (lambda folder: _with_card(folder, family="os:system"), "family"),
        (lambda folder: (folder / "model.json").write_text("[" * 100_000), "expected a Boxwright model"),
        (lambda folder: _rebuilt(folder), "not finite"),
    ],
)
def test_a_spoilt_model_is_refused_in_one_line(other: Path, spoil: Any, why: str) -> None:
    spoil(other)
    with pytest.raises(DataError, match=why) as caught:
        load(other)
    assert "\n" not in str(caught.value)


def _with_card(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / "model.json").read_text()) | changes
    (folder / "model.json").write_text(json.dumps(card))


def _with_sample(folder: Path, **changes: Any) -> None:
    sample = json.loads((folder / "sample.json").read_text()) | changes
    (folder / "sample.json").write_text(json.dumps(sample))


def _huge_png() -> str:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(packed)).decode()


def _rebuilt(folder: Path) -> None:
    export_finder(folder, nan=True)


def test_the_scene_is_found_where_it_is(predictor: Predictor) -> None:
    (seen,) = predictor.predict([read_picture(encoded(scene(), "PNG"), MAX_PIXELS)])
    assert isinstance(seen, Detections)
    np.testing.assert_allclose(seen.boxes[:, [1, 0, 3, 2]] * [200, 100, 200, 100], [RED_BOX, BLUE_BOX], atol=1e-4)


def test_detections_are_sorted_whatever_order_the_model_has() -> None:
    def network(encoded: Any) -> dict[str, Any]:
        return {
            "detection_boxes": np.array([[[0.1] * 4, [0.2] * 4, [0.3] * 4, [0.0] * 4]], np.float32),
            "detection_scores": np.array([[0.2, 0.9, 0.9, 0.99]], np.float32),
            "detection_classes": np.array([[1, 2, 3, 4]], np.float32),
            "num_detections": np.array([3], np.float32),
        }

    (found,) = Predictor(network, None).predict([Picture(b"", 1, 1)])  # type: ignore[arg-type]
    assert isinstance(found, Detections)
    assert found.classes.tolist() == [1, 2, 0] and found.boxes[:, 0].tolist() == pytest.approx([0.2, 0.3, 0.1])
    assert found.at_least(0.5).classes.tolist() == [1, 2]
