"""One small network in every format: what stands in the folder, and that other programs find the same boxes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tinyset import picture

from boxwright.errors import DataError, UsageError
from boxwright.exporting import formats
from boxwright.exporting.apart import ERROR_FILE
from boxwright.exporting.calibrating import Calibration
from boxwright.exporting.checking import TOLERANCES, check_export
from boxwright.exporting.detector import ExportedDetector
from boxwright.exporting.export import export_model
from boxwright.exporting.facts import ExportFacts
from boxwright.exporting.formats import FORMATS, format_named
from boxwright.exporting.measuring import size_of
from boxwright.exporting.network import ExportNetwork
from boxwright.exporting.process import main, write_artefact
from boxwright.images import Tiling
from boxwright.model.catalogue import MODELS, ModelSpec
from boxwright.model.store import ModelCard, build_detector, save_detector
from boxwright.registry.open_model import ModelSource
from boxwright.serving.engine.model import read_info
from boxwright.serving.engine.network import ExportedNetwork, RebuiltNetwork
from boxwright.serving.engine.picture import Picture
from boxwright.serving.engine.predictor import Detections, Predictor

CLASSES, THRESHOLD = ("cat", 'a "dog" ☃'), 0.25
# Spread of the class layer's weights, with which a few places stand out.
KERNEL = 600
# A pixel is rounded to a whole number before it goes to an exported network.
SCORE, PIXELS = 0.02, 2.0
BARE = "import sys\nfor name in ('boxwright', 'tensorflow', 'keras'): sys.modules[name] = None\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A detector of the default family, small, whose scores differ from place to place."""
    import keras

    folder = tmp_path_factory.mktemp("model")
    architecture = {"encoder": MODELS["tiny"].architecture["encoder"], "frozen": [], "filters": 16, "head_layers": 1}
    fields = getattr(request, "param", {})
    card = ModelCard(model_id="small", image_size=128, classes=CLASSES, category_ids=(4, 9), **fields)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(MODELS, "small", ModelSpec("small", "gfl", 128, architecture))
        keras.utils.set_random_seed(2)
        detector = build_detector(card)
        kernel = detector.class_top.kernel
        kernel.assign(np.random.default_rng(0).normal(0, KERNEL, kernel.shape))
        save_detector(detector, card, folder)
        measured = {"split": "test", "metrics": {"AP": 0.5}, "per_class": {}, "threshold": THRESHOLD}
        (folder / "metrics.json").write_text(json.dumps(measured))
        yield folder


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "image.png"
    picture(5, 200, 120).save(path)
    return path


@pytest.fixture(scope="module")
def network(model: Path) -> ExportNetwork:
    return ExportNetwork(model)


@pytest.fixture(scope="module")
def exports(network: ExportNetwork, model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by format."""
    root = tmp_path_factory.mktemp("exports")
    for name in FORMATS:
        (root / name).mkdir()
        write_artefact(network, model, root / name, name, "float32", "models:/things/3")
    return {name: root / name for name in FORMATS}


def seen(model: Path, image: Path, network: RebuiltNetwork | ExportedNetwork) -> list[tuple[str, float, list[float]]]:
    """Label, score and `[xmin, xmax, ymin, ymax]` in pixels of what a predictor finds."""
    info = read_info(ModelSource(str(model), str(model), "things", None), model)
    (found,) = Predictor(network, info).predict([Picture(image.read_bytes(), 200, 120)])
    assert isinstance(found, Detections)
    shown = found.at_least(THRESHOLD - 2 * SCORE)
    return [
        (CLASSES[label], float(score), [xmin * 200, xmax * 200, ymin * 120, ymax * 120])
        for (ymin, xmin, ymax, xmax), score, label in zip(shown.boxes, shown.scores, shown.classes, strict=True)
    ]


@pytest.fixture(scope="module")
def expected(model: Path, image: Path) -> list[tuple[str, float, list[float]]]:
    """What `boxwright predict` finds."""
    return seen(model, image, RebuiltNetwork(model))


Found = list[tuple[str, float, list[float]]]


def assert_same(found: Found, expected: Found, apart: float = SCORE) -> None:
    """Either list has what the other is sure of; scores may be `apart`."""
    for some, others in ((found, expected), (expected, found)):
        for label, score, box in some:
            assert score < THRESHOLD + apart or any(
                label == other and abs(score - near) <= apart and np.abs(np.subtract(box, corners)).max() <= PIXELS
                for other, near, corners in others
            ), (label, score, box)


# The image is 200 x 120.
each_viewing = pytest.mark.parametrize(
    "model",
    [{}, {"resize": "letterbox", "tiling": Tiling(size=90, overlap=0.2)}],
    indirect=True,
    ids=["stretch", "letterbox in tiles"],
)


@each_viewing
@pytest.mark.parametrize("name", FORMATS)
def test_the_readme_runs_without_boxwright_and_finds_the_same(
    name: str, exports: dict[str, Path], image: Path, expected: list[tuple[str, float, list[float]]]
) -> None:
    readme = (exports[name] / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-I", "-c", BARE + program, str(image)],
        cwd=exports[name],
        capture_output=True,
        text=True,
        env={"PYTHONIOENCODING": "utf-8"},
    )
    assert not done.returncode, done.stderr
    lines = [re.fullmatch(r"([\d.]+) (.*): x (\S+) to (\S+), y (\S+) to (\S+)", x) for x in done.stdout.splitlines()]
    found = [(line[2], float(line[1]), [float(side) for side in line.groups()[2:]]) for line in lines if line]
    assert 2 <= len(found) == len(lines) and {label for label, *_ in found} <= set(CLASSES)
    # Where both sides shrink, Pillow's own resizing rounds after each.
    assert_same(found, expected, 2 * SCORE)


@each_viewing
@pytest.mark.parametrize("name", FORMATS)
def test_boxwrights_own_runtime_finds_the_same(
    name: str, exports: dict[str, Path], model: Path, image: Path, expected: list[tuple[str, float, list[float]]]
) -> None:
    network = ExportedNetwork(exports[name], threads=1)
    assert_same(seen(model, image, network), expected)
    raw = network([image.read_bytes()] * 2)
    assert raw["detection_boxes"].shape == (2, 100, 4) and raw["num_detections"].shape == (2,)
    assert not raw["detection_classes"][0, int(raw["num_detections"][0]) :].any()


@pytest.mark.parametrize("name", FORMATS)
def test_the_folder_says_all_that_a_program_needs(name: str, exports: dict[str, Path]) -> None:
    facts = ExportFacts.read(exports[name])
    assert (facts.format, facts.precision, facts.reference) == (name, "float32", "models:/things/3")
    assert facts.classes == CLASSES and facts.category_ids == (4, 9) and facts.threshold == THRESHOLD
    assert facts.input.image_size == 128 and not facts.input.keep_aspect
    assert facts.outputs == ("detections" if name == "onnx" else "candidates")
    assert facts.differences.pictures == 3 and facts.differences.scores < 1e-4
    assert json.loads((exports[name] / "label_map.json").read_text())["labels"] == list(CLASSES)
    assert (exports[name] / facts.file).stat().st_size > 100_000


def test_a_litert_file_says_what_goes_in_and_comes_out_and_holds_the_class_names(exports: dict[str, Path]) -> None:
    from tensorflow.lite.tools import flatbuffer_utils

    path = exports["litert"] / FORMATS["litert"].file
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labelmap.txt").decode() == "".join(f"{name}\n" for name in CLASSES)
    content = flatbuffer_utils.read_model(str(path))
    (buffer,) = [one.buffer for one in content.metadata if one.name == b"TFLITE_METADATA"]
    told = bytes(content.buffers[buffer].data)
    assert told[4:8] == b"M001"
    assert all(name in told for name in (b"small", b"image", b"boxes", b"scores", b"labelmap.txt"))


def openvino_labels(folder: Path) -> list[str]:
    """The class names that the README's line reads, with stock OpenVINO."""
    (line,) = re.findall(r"`(openvino\.Core.*)`", (folder / "README.md").read_text())
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"{BARE}import json, openvino\nprint(json.dumps({line}))"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    labels: list[str] = json.loads(done.stdout)
    return labels


def test_an_openvino_file_holds_the_class_names(exports: dict[str, Path]) -> None:
    assert openvino_labels(exports["openvino"]) == ["cat", 'a_"dog"_☃']


def test_an_onnx_file_holds_the_class_names(exports: dict[str, Path]) -> None:
    import onnxruntime

    found = onnxruntime.InferenceSession(str(exports["onnx"] / FORMATS["onnx"].file)).get_modelmeta()
    assert found.custom_metadata_map["names"].split("\n") == list(CLASSES)


@pytest.mark.parametrize(("name", "library"), [("litert", "ai_edge_quantizer"), ("openvino", "nncf")])
def test_whole_numbers_are_calibrated_and_find_the_same(
    name: str,
    library: str,
    network: ExportNetwork,
    model: Path,
    image: Path,
    tmp_path: Path,
    exports: dict[str, Path],
    expected: list[tuple[str, float, list[float]]],
) -> None:
    (tmp_path / "export").mkdir()
    for seed in range(5):
        picture(seed, 200, 120).save(tmp_path / f"{seed}.png")
    pytest.importorskip(library, reason=f"{library} is not installed")
    calibration = Calibration(folder=tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        # Weights by chance, whose scores stand on the edge: what is told is how far whole numbers move them.
        patched.setitem(TOLERANCES, "int8", 1.0)
        write_artefact(network, model, tmp_path / "export", name, "int8", "models:/things/3", calibration)
    facts = ExportFacts.read(tmp_path / "export")
    assert (facts.precision, facts.in_floats) == ("int8", 1) and facts.differences.pictures == 3
    # Of one byte a weight.
    assert size_of(tmp_path / "export") < 0.7 * size_of(exports[name])
    if name == "openvino":
        assert openvino_labels(tmp_path / "export") == openvino_labels(exports[name])
    found = seen(model, image, ExportedNetwork(tmp_path / "export", threads=1))
    best = max(expected, key=lambda one: one[1])
    assert any(label == best[0] and np.abs(np.subtract(box, best[2])).max() < 20 for label, _, box in found)


def test_a_file_that_answers_otherwise_is_refused(
    network: ExportNetwork, model: Path, exports: dict[str, Path]
) -> None:
    bias, facts = network.detector.class_top.bias, ExportFacts.read(exports["litert"])
    kept = bias.numpy()
    try:
        bias.assign(kept + 0.1)
        with pytest.raises(DataError, match="models:/things/3 as litert in float32 differs from the model: scores by"):
            check_export(network, exports["litert"], facts, model)
        bias.assign(kept * np.nan)
        with pytest.raises(DataError, match="answers with numbers that are not finite"):
            check_export(network, exports["litert"], facts, model)
    finally:
        bias.assign(kept)


def test_a_broken_file_is_named(exports: dict[str, Path], tmp_path: Path) -> None:
    for name in ("litert", "openvino"):
        facts = ExportFacts.read(exports[name])
        facts.write(tmp_path)
        (tmp_path / facts.file).write_bytes(b"no network")
        with pytest.raises(DataError, match=f"{facts.file}: {name} cannot load it: .*; export the model again"):
            ExportedDetector(tmp_path)


def test_the_process_leaves_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["process", str(tmp_path / "none"), str(tmp_path), "litert", "float32", "x"])
    assert main() == 1
    told = json.loads((tmp_path / ERROR_FILE).read_text())
    assert told["exit_code"] == 1 and "expected a Boxwright model" in told["message"]


def test_what_is_not_there_is_told_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"format=lite: expected litert, onnx, openvino \(did you mean litert\?\)"):
        format_named("lite")
    with pytest.raises(UsageError, match="precision=int4: expected float32 or float16 or int8 for openvino"):
        export_model(tmp_path, tmp_path / "out", "openvino", "int4", "x")
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "tf2onnx" else object())
    with pytest.raises(UsageError, match=r"^onnx needs tf2onnx, which is not installed: pip install 'boxwright\["):
        export_model(tmp_path, tmp_path / "out", "onnx", None, "x")
    assert not (tmp_path / "out").exists()
