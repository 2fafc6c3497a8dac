from __future__ import annotations

import archives
import pytest

from boxwright.model.catalogue import MODELS

MODEL_ID = "tensorflow-od1-ssd-mobilenet-v2-fpnlite-320x320-coco17-tpu-8"


@pytest.fixture(scope="session")
def spec():
    """The smallest of the managed models."""
    return MODELS[MODEL_ID]


@pytest.fixture(scope="session")
def values(spec):
    """Values of all variables of its checkpoint."""
    from boxwright.model.zoo.detector import ZooDetector
    from boxwright.model.zoo.weights import checkpoint_shapes

    used, unused = checkpoint_shapes(ZooDetector(spec, 90, 64))
    assert not unused
    return archives.random_values(used)


@pytest.fixture(scope="session")
def archive(spec, values, tmp_path_factory):
    """An archive that fits it."""
    return archives.write_archive(
        tmp_path_factory.mktemp("zoo") / spec.weights.name, values, archives.config_text(spec)
    )
