from __future__ import annotations

import io
import json
import re
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import archives
import numpy as np
import pytest

from boxwright.config import parse_config
from boxwright.errors import DataError, UsageError
from boxwright.model.catalogue import MODELS
from boxwright.model.weights.sources import fetch_weights, weights_identity, weights_ready
from boxwright.model.weights.store import MANIFEST_FILE, find_manifest, put, store_uri
from boxwright.storage import sha256_of


@pytest.fixture(scope="module")
def store(spec, archive, tmp_path_factory):
    """A store with the archive's weights in it."""
    from boxwright.model.zoo.importing import convert_archive

    uri, work = str(tmp_path_factory.mktemp("store")), tmp_path_factory.mktemp("work")
    put(store_uri(uri, spec.model_id), work, convert_archive(spec, archive, work))
    return uri


def test_training_starts_from_what_was_imported(spec, values, archive, store, tmp_path):
    from boxwright.model.zoo.detector import ZooDetector

    config = parse_config({"training": "t", "output": "o", "model_id": spec.model_id, "weights_uri": store})
    assert weights_ready(spec, store)
    digest, identity = fetch_weights(config, spec, spec.weights, tmp_path)
    assert identity == weights_identity(config, spec)
    manifest = find_manifest(store_uri(store, spec.model_id))
    assert (digest, manifest.origin, manifest.variables) == (manifest.origin_sha256, archive.name, len(values))

    detector = ZooDetector(spec, 3, 64)
    fresh = [weights.variable.numpy() for weights in detector.class_weights()]
    detector.load_pretrained(tmp_path)
    stem = detector.get_layer("Conv1").kernel
    np.testing.assert_array_equal(
        stem, values["model/_feature_extractor/classification_backbone/layer_with_weights-0/kernel"]
    )
    for weights, before in zip(detector.class_weights(), fresh, strict=True):
        np.testing.assert_array_equal(weights.variable, before)


def test_published_scores_are_kept_for_classes_that_coco_names(spec, values, store, tmp_path):
    from boxwright.model.seeds import PRETRAINED_FOLDER, Seed, apply_seed, write_seed
    from boxwright.model.store import ModelCard
    from boxwright.model.zoo.detector import ZooDetector

    config = parse_config({"training": "t", "output": "o", "model_id": spec.model_id, "weights_uri": store})
    fetch_weights(config, spec, spec.weights, tmp_path / PRETRAINED_FOLDER)
    write_seed(Seed(kind="pretrained", model_id=spec.model_id, origin=spec.weights.name), tmp_path)
    card = ModelCard(model_id=spec.model_id, image_size=64, classes=("zebra", "person"), category_ids=(1, 2))
    detector = ZooDetector(spec, 2, 64)
    apply_seed(detector, tmp_path, card, "False")
    key = "model/_box_predictor/_prediction_heads/class_predictions_with_background/_class_predictor_layers/0/bias"
    published = values[key].reshape(6, 91)
    np.testing.assert_array_equal(detector.class_layer.bias.numpy().reshape(6, 3), published[:, [0, 24, 1]])

    apply_seed(detector, tmp_path, card, "Auto")
    np.testing.assert_allclose(detector.class_layer.bias, -4.6)

    with pytest.raises(DataError, match="no class 'bolt'; it knows person, bicycle"):
        apply_seed(detector, tmp_path, card.model_copy(update={"classes": ("bolt", "person")}), "False")


def test_without_weights_the_error_says_how_to_get_them(spec, tmp_path):
    config = parse_config({"training": "t", "output": "o", "model_id": spec.model_id, "weights_uri": str(tmp_path)})
    assert not weights_ready(spec, str(tmp_path))
    assert weights_identity(config, spec) is None
    with pytest.raises(
        UsageError, match=f"boxwright weights pull {spec.model_id}.*weights import.*{spec.weights.name}"
    ):
        fetch_weights(config, spec, spec.weights, tmp_path / "out")


def test_a_file_that_changed_in_the_store_is_not_used(spec, store, tmp_path):
    import shutil

    shutil.copytree(store, tmp_path / "copy")
    file = tmp_path / "copy" / spec.model_id / "weights.npz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    config = parse_config(
        {"training": "t", "output": "o", "model_id": spec.model_id, "weights_uri": str(tmp_path / "copy")}
    )
    with pytest.raises(DataError, match="not the file that its manifest names"):
        fetch_weights(config, spec, spec.weights, tmp_path / "out")


def test_the_archives_own_scales_of_the_box_code_are_taken_and_travel_with_the_weights(spec, values, tmp_path):
    from boxwright.model.store import ModelCard, load_detector, save_detector
    from boxwright.model.zoo.detector import ZooDetector
    from boxwright.model.zoo.importing import convert_archive

    config = archives.config_text(spec, y_scale=1.0, height_scale=2.0)
    path = archives.write_archive(tmp_path / spec.weights.name, values, config)
    convert_archive(spec, path, tmp_path / "work")
    detector = ZooDetector(spec, 2, 64)
    detector.load_pretrained(tmp_path / "work")
    card = ModelCard(model_id=spec.model_id, image_size=64, classes=("a", "b"), category_ids=(1, 2))
    save_detector(detector, card, tmp_path)
    np.testing.assert_array_equal(load_detector(tmp_path)[0].box_code.scales, [1.0, 10.0, 2.0, 5.0])


def _entry(name, size=0, kind=tarfile.REGTYPE):
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = size, kind, "elsewhere" if kind == tarfile.SYMTYPE else ""
    return entry


def _truncated(archive, spec, values, folder):
    path = folder / archive.name
    path.write_bytes(archive.read_bytes()[:-100_000])
    return path


def _with_entry(name, **settings):
    def make(archive, spec, values, folder):
        return archives.write_archive(
            folder / archive.name, values, archives.config_text(spec), _entry(name, **settings)
        )

    return make


def _with_values(change):
    def make(archive, spec, values, folder):
        return archives.write_archive(folder / archive.name, change(dict(values)), archives.config_text(spec))

    return make


def _with_config(change):
    def make(archive, spec, values, folder):
        return archives.write_archive(folder / archive.name, values, change(archives.config_text(spec)))

    return make


def _another_models(archive, spec, values, folder):
    other = MODELS["tensorflow-od1-ssd-efficientdet-d0-512x512-coco17-tpu-8"]
    return archives.write_archive(folder / other.weights.name, values, archives.config_text(other))


_STEM = "model/_feature_extractor/classification_backbone/layer_with_weights-0/kernel"

BAD = {
    "truncated": (_truncated, "is not a complete .tar.gz"),
    "not an archive": (
        lambda archive, spec, values, folder: _written(folder / "x.tar.gz", b"no"),
        "is not a complete .tar.gz",
    ),
    "a path that escapes": (_with_entry("../../evil"), "unsafe path"),
    "a link": (_with_entry("x/checkpoint/ckpt-1", kind=tarfile.SYMTYPE), "neither a regular file nor a folder"),
    "ten gigabytes": (_with_entry("x/checkpoint/big", size=10 << 30), "unpacks to more than"),
    "ten gigabytes that are skipped": (_with_entry("x/saved_model/big", size=10 << 30), "unpacks to more than"),
    "other files": (_with_entry("x/evil.py"), "not of an archive of the TensorFlow 2 detection zoo"),
    "another model's": (
        _another_models,
        "feature_extractor.type is ssd_efficientnet-b0_bifpn_keras, expected ssd_mobilenet_v2",
    ),
    "a variable too many": (_with_values(lambda v: v | {"model/extra": np.zeros(3, "f4")}), "1 left over: model/extra"),
    "a variable missing": (_with_values(lambda v: {k: v[k] for k in v if k != _STEM}), f"1 missing: {_STEM}"),
    "another shape": (
        _with_values(lambda v: v | {_STEM: v[_STEM][:1]}),
        r"layer_with_weights-0/kernel \[1, 3, 3, 32\] instead of",
    ),
    "doubles": (_with_values(lambda v: v | {_STEM: v[_STEM].astype("f8")}), "expected float32, got float64"),
    "not a number": (_with_values(lambda v: v | {_STEM: v[_STEM] * np.nan}), "not finite"),
    "other classes": (
        _with_config(lambda text: text.replace("num_classes: 90", "num_classes: 1")),
        "num_classes is 1, expected 90",
    ),
    "a broken configuration": (_with_config(lambda text: text + "}"), "a brace too many"),
}


def _written(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_archive_is_one_line_and_leaves_nothing_in_the_store(
    kind, spec, values, archive, tmp_path, monkeypatch, capsys
):
    from boxwright.cli import app as cli

    make, expected = BAD[kind]
    (tmp_path / "parts").mkdir()
    path, store = make(archive, spec, values, tmp_path / "parts"), tmp_path / "store"
    monkeypatch.setattr(
        "sys.argv", ["boxwright", "weights", "import", spec.model_id, str(path), "--weights-uri", str(store)]
    )
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with pytest.raises(SystemExit) as exited:
        cli.main()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert exited.value.code == 1
    assert len(lines) == 1
    assert re.search(expected, lines[0])
    assert not store.exists()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_checkpoint_that_ends_early_is_told(spec, values, tmp_path):
    from benchmarks.zoo_reference import write_checkpoint
    from boxwright.model.zoo.checkpoint import read_checkpoint

    write_checkpoint(tmp_path / "ckpt-0", values)
    data = tmp_path / "ckpt-0.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(DataError, match="ckpt-0 of the archive is not a complete TensorFlow checkpoint"):
        read_checkpoint(tmp_path / "ckpt-0", {key: value.shape for key, value in values.items()})
    with pytest.raises(DataError, match="not a complete TensorFlow checkpoint"):
        read_checkpoint(tmp_path / "none", {})


def test_the_manifest_is_written_last(spec, archive, tmp_path, monkeypatch):
    from boxwright.model.weights import store as weights_store
    from boxwright.model.zoo.importing import convert_archive

    manifest, sent = convert_archive(spec, archive, tmp_path), []
    monkeypatch.setattr(weights_store, "upload_file", lambda path, uri: sent.append(path.name))
    put("s3://bucket/weights", tmp_path, manifest)
    assert sent == ["weights.npz", MANIFEST_FILE]


@pytest.fixture
def boxwright(monkeypatch, capsys):
    """Runs the command line in this process: (exit code, stdout, the error line)."""
    from boxwright.cli import app as cli

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["boxwright", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        errors = [line for line in captured.err.splitlines() if line.startswith("error:")]
        return ended.value.code or 0, captured.out, errors[-1] if errors else ""

    return run


@pytest.fixture
def mirror(archive):
    """A server that has the archive."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(archive.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_weights_are_pulled_listed_and_verified(spec, values, mirror, boxwright, tmp_path):
    where = ("--weights-uri", tmp_path / "store")
    code, printed, _ = boxwright("weights", "pull", spec.model_id, "--url", mirror, *where)
    assert (code, f"{len(values)} variables of {spec.weights.name}" in printed) == (0, True)
    code, printed, _ = boxwright("weights", "list", "--json", *where)
    there = {row["model_id"] for row in json.loads(printed) if row["weights"]}
    assert (len(json.loads(printed)), there) == (13, {spec.model_id})
    assert boxwright("weights", "verify", *where)[0] == 0

    file = tmp_path / "store" / spec.model_id / "weights.npz"
    file.write_bytes(file.read_bytes()[:-1])
    code, _, error = boxwright("weights", "verify", *where)
    assert (code, "is not the file that its manifest names" in error) == (1, True)


def test_what_cannot_be_pulled_says_what_to_do_instead(spec, mirror, boxwright, tmp_path):
    where = ("--weights-uri", tmp_path / "store")
    code, _, error = boxwright("weights", "pull", spec.model_id, "--url", f"{mirror}/none", *where)
    assert (code, "404" in error, "--url" in error) == (4, True, True)
    code, _, error = boxwright("weights", "pull", spec.model_id, "--url", "http://127.0.0.1:9", *where)
    assert (code, f"boxwright weights import {spec.model_id}" in error) == (4, True)
    code, _, error = boxwright("weights", "pull", spec.model_id, "--url", "file:///etc", *where)
    assert (code, "http or https" in error) == (2, True)
    code, _, error = boxwright("weights", "pull", "tiny", *where)
    assert (code, "tensorflow-od1-ssd-resnet50" in error) == (2, True)
    assert not (tmp_path / "store").exists()


def test_another_archive_than_the_first_is_refused(spec, mirror, archive, boxwright, tmp_path):
    where = ("--url", mirror, "--weights-uri", tmp_path / "store")
    first = sha256_of(archive)
    code, printed, _ = boxwright("weights", "pull", spec.model_id, *where)
    assert code == 0 and f"trusted as the first of its kind; its SHA-256 is {first}" in printed
    assert boxwright("weights", "pull", spec.model_id, *where)[0] == 0, "the same again"
    whole = archive.read_bytes()
    try:
        archive.write_bytes(whole + bytes(10240))  # the same files, and padding that tar skips
        code, _, error = boxwright("weights", "pull", spec.model_id, *where)
        second = sha256_of(archive)
        assert (code, f"has the SHA-256 {second}; expected {first}" in error) == (1, True)
        code, _, error = boxwright("weights", "pull", spec.model_id, *where, "--sha256", first)
        assert (code, "of --sha256" in error) == (1, True)
    finally:
        archive.write_bytes(whole)
    assert boxwright("weights", "pull", spec.model_id, *where, "--sha256", first.upper())[0] == 0


def test_what_comes_unprotected_needs_a_digest(spec, boxwright, tmp_path):
    where = ("--weights-uri", tmp_path / "store", "--url", "http://mirror.invalid/zoo")
    code, _, error = boxwright("weights", "pull", spec.model_id, *where)
    assert (code, "use https, or give the archive's digest with --sha256" in error) == (2, True)
    code, _, error = boxwright("weights", "pull", spec.model_id, *where, "--sha256", "0" * 64)
    assert (code, "cannot be reached" in error) == (4, True)


def test_a_redirect_away_from_protection_is_refused(spec, boxwright, tmp_path, monkeypatch):
    from boxwright.cli import weights

    class Answer(io.BytesIO):
        url, headers = "http://elsewhere.example/archive.tar.gz", {}

    assert weights.ZOO_URL.startswith("https://")
    monkeypatch.setattr(weights.urllib.request, "urlopen", lambda *_, **__: Answer(b"anything"))
    code, _, error = boxwright("weights", "pull", spec.model_id, "--weights-uri", tmp_path / "store")
    assert (code, "elsewhere.example" in error, "--sha256" in error) == (2, True, True)
