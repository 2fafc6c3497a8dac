"""What runs of the whole pipeline need: a home of their own, a small dataset, and settings that learn something."""

from __future__ import annotations

import pytest

from boxwright.config import parse_config
from boxwright.dataset.sample.generate import generate_sample


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("home")
    patch.setenv("BOXWRIGHT_HOME", str(folder))
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield folder
    patch.undo()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "sample"
    generate_sample(folder, images=24, seed=1)
    return folder


@pytest.fixture(scope="module")
def settings_of(dataset, tmp_path_factory):
    output = tmp_path_factory.mktemp("output")

    def make(**changes):
        values = {
            "training": str(dataset / "training"),
            "validation": str(dataset / "validation"),
            "test": str(dataset / "test"),
            "output": str(output),
            "model_id": "speck",
            # Enough steps to learn something.
            "hyperparameters": {
                "epochs": 8,
                "batch_size": 4,
                "image_size": 128,
                "learning_rate": 0.003,
                "augmentation": "flip",
            },
            # So small a model learns next to nothing.
            "gate": {"min_ap50": 0, "classes_told_apart": False},
            # Conversion takes longer than all other steps together.
            "export": {"formats": ["saved_model"]},
        }
        return parse_config(values | changes)

    return make
