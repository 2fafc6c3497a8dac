from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

from boxwright.errors import DataError, UsageError
from boxwright.model.catalogue import MODELS
from boxwright.model.weights.imagenet import load_efficientnet_lite0, package_file
from boxwright.model.weights.torch_checkpoint import read_torch_weights

LITE0 = MODELS["retinanet-efficientnet-lite0-320"]


@pytest.fixture(scope="module")
def weights_path():
    return package_file(LITE0.weights.name)


def test_every_variable_of_the_backbone_gets_the_published_weights(weights_path):
    from boxwright.model.store import ModelCard, build_detector

    card = ModelCard(model_id=LITE0.model_id, image_size=96, classes=("a",), category_ids=(1,))
    backbone = build_detector(card).backbone
    fresh = [variable.numpy() for variable in backbone.weights]
    assert load_efficientnet_lite0(backbone, weights_path) == len(fresh)
    arrays = read_torch_weights(weights_path)
    np.testing.assert_array_equal(
        backbone.get_layer("stem_conv").kernel.numpy()[1, 2, 0], arrays["_conv_stem.weight"][:, 0, 1, 2]
    )
    np.testing.assert_array_equal(
        backbone.get_layer("block3a_dwconv").kernel.numpy()[4, 0, :, 0],
        arrays["_blocks.3._depthwise_conv.weight"][:, 0, 4, 0],
    )


def test_transposed_storage_is_read_by_its_strides(weights_path):
    """The published kernels came from TensorFlow and lie transposed in the file.

    Read without their strides they are noise. In the right order the first layer holds smooth filters: each
    value is like its neighbour in the kernel.
    """
    kernels = read_torch_weights(weights_path)["_conv_stem.weight"].reshape(32, 3, 9)
    across_colours = [np.corrcoef(kernel)[0, 1] for kernel in kernels if kernel.std() > 0.05]
    assert np.median(across_colours) > 0.5


class _Attack:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize("content", [pickle.dumps(_Attack()), b"", b"not a pickle", pickle.dumps(5)])
def test_a_file_that_is_no_table_of_tensors_is_refused_and_never_run(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"weights\.pth"):
        read_torch_weights(path)


def test_a_missing_package_is_named():
    with pytest.raises(UsageError, match="no_such_package"):
        package_file("no_such_package")
