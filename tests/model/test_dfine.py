"""The matching and the loss of D-FINE, against what can be told by hand; and the weights of a preset."""

from __future__ import annotations

import dataclasses
import io
import tarfile
import zipfile

import numpy as np
import pytest

from boxwright.errors import DataError
from boxwright.model.dfine.preset import preset_weights


def _logit(share):
    return float(np.log(share / (1 - share)))


def _targets():
    """Two objects in the first image, none in the second, one in the third; boxes xyxy in 100 pixels."""
    boxes = np.array([[[10, 10, 30, 30], [60, 60, 90, 90]], [[-1] * 4] * 2, [[40, 40, 60, 60], [-1] * 4]], "float32")
    return {"boxes": boxes, "labels": np.array([[0, 1], [-1, -1], [1, -1]], "float32")}


def test_each_object_is_matched_to_a_query_of_its_own_image():
    from boxwright.model.dfine.detector import _Objects

    objects = _Objects({name: np.array(value) for name, value in _targets().items()}, 100.0)
    assert float(objects.count) == 3
    np.testing.assert_allclose(objects.targets["boxes"][1], [0.75, 0.75, 0.3, 0.3], atol=1e-6)
    far = [0.05, 0.95, 0.02, 0.02]
    first = [far, [0.75, 0.75, 0.3, 0.3], [0.2, 0.2, 0.2, 0.2], far]
    third = [far, far, far, [0.5, 0.5, 0.2, 0.2]]
    boxes = np.array([first, [far] * 4, third], "float32")
    matched = objects.match(np.full((3, 4, 2), _logit(0.5), "float32"), boxes)
    # Counted through the batch: image times four queries, plus the query.
    assert matched.numpy().tolist() == [2, 1, 11]


def test_a_better_class_wins_between_equal_boxes():
    from boxwright.model.dfine.detector import _Objects

    objects = _Objects({"boxes": np.array([[[10.0, 10, 30, 30]]]), "labels": np.array([[1.0]])}, 100.0)
    boxes = np.full((1, 3, 4), 0.2, "float32")
    logits = np.full((1, 3, 2), _logit(0.2), "float32")
    logits[0, 1, 1] = _logit(0.9)
    assert objects.match(logits, boxes).numpy().tolist() == [1]


def test_overlap_is_one_for_equal_boxes_and_negative_for_distant_ones():
    from boxwright.model.dfine.detector import _generalized_iou

    boxes = np.array([[0.2, 0.2, 0.2, 0.2], [0.8, 0.8, 0.2, 0.2], [0.3, 0.2, 0.2, 0.2]])
    found = _generalized_iou(boxes, boxes[:1])[:, 0]
    assert found[0] == pytest.approx(1)
    # The hull has 0.64, both boxes together 0.08.
    assert found[1] == pytest.approx(-(0.64 - 0.08) / 0.64)
    assert found[2] == pytest.approx(0.02 / 0.06)


CONTENT = b"weights"


def _archive(path, names):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for name in names:
                packed.writestr(name, CONTENT)
        return
    with tarfile.open(path, "w:gz") as packed:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(CONTENT)
            packed.addfile(entry, io.BytesIO(CONTENT))


@pytest.mark.parametrize("name", ["preset.tar.gz", "preset.zip", None])
def test_a_preset_is_read_from_a_folder_or_an_archive(tmp_path, name):
    names = ["config.json", "../model.weights.h5" if name else "model.weights.h5"]
    if name:
        _archive(tmp_path / name, names)
    else:
        (tmp_path / "model.weights.h5").write_bytes(CONTENT)
    before = set(tmp_path.parent.iterdir())
    with preset_weights(tmp_path) as path:
        assert path.read_bytes() == CONTENT
        assert path.name == "model.weights.h5"
    assert set(tmp_path.parent.iterdir()) == before


@pytest.mark.parametrize("name", ["preset.tar.gz", "preset.zip"])
def test_an_archive_without_weights_or_that_is_none_is_named(tmp_path, name):
    _archive(tmp_path / name, ["config.json"])
    with pytest.raises(DataError, match=f"{name}: expected model.weights.h5"), preset_weights(tmp_path):
        pass
    (tmp_path / name).write_bytes(b"no archive")
    with pytest.raises(DataError, match=f"{name}: cannot be unpacked"), preset_weights(tmp_path):
        pass


def test_a_folder_without_a_preset_says_what_is_expected(tmp_path):
    with pytest.raises(DataError, match="expected a KerasHub preset"), preset_weights(tmp_path):
        pass


def test_published_weights_go_everywhere_but_into_the_class_layers(tmp_path):
    from boxwright.model.catalogue import model_spec
    from boxwright.model.dfine.detector import DFine, _backbone

    nano = model_spec("dfine-nano")
    smaller = nano.architecture["detector"] | {"num_decoder_layers": 1}
    spec = dataclasses.replace(nano, architecture=nano.architecture | {"detector": smaller})
    preset = _backbone(spec, 80, 64, denoising=100)
    for variable in preset.weights:
        variable.assign(np.full(variable.shape, 0.25))
    preset.save_weights(tmp_path / "model.weights.h5")

    detector = DFine(spec, 2, 64)
    top = {id(weights.variable): weights.variable.numpy() for weights in detector.class_weights()}
    detector.load_pretrained(tmp_path)
    for variable in detector.weights:
        expected = top.get(id(variable), np.float32(0.25))
        np.testing.assert_array_equal(variable.numpy(), np.broadcast_to(expected, variable.shape))
    (tmp_path / "model.weights.h5").write_bytes(b"not an HDF5 file")
    with pytest.raises(DataError, match="model.weights.h5: expected a file of weights"):
        detector.load_pretrained(tmp_path)
