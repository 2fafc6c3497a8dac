"""Two devices give the loss and the weights that one does: logical CPUs, in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

SCRIPT = """
import json, sys
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
from dataclasses import replace
from boxwright.model.catalogue import model_spec
from boxwright.model.families import create_detector
from boxwright.config import Hyperparameters
from boxwright.training.devices import distribution
from boxwright.training.optimizer import make_optimizer

SIZE = 64
spec = tiny = model_spec("tiny")
if sys.argv[1] == "gfl":
    spec = model_spec("gfl-efficientnet-lite0-320")
    small = {"encoder": tiny.architecture["encoder"], "filters": 16, "head_layers": 1}
    spec = replace(spec, architecture=spec.architecture | small)
images = np.random.default_rng(0).uniform(0, 255, (4, SIZE, SIZE, 3)).astype("float32")
# All boxes but one are of the second half: each device has its own number of positives.
labels = np.array([[0, -1, -1], [-1, -1, -1], [1, 0, 1], [0, 0, -1]], "float32")
boxes = np.where(labels[..., None] >= 0, np.array([[8, 8, 40, 40], [20, 16, 56, 60], [2, 30, 34, 62]], "float32"), -1)

found = {}
for devices in (1, 2):
    keras.utils.set_random_seed(1)
    strategy = distribution([f"CPU:{i}" for i in range(devices)])
    assert strategy.num_replicas_in_sync == devices
    with strategy.scope():
        detector = create_detector(spec, 2, SIZE)
        # KerasHub's norms have batch statistics of a device's own images.
        detector.freeze_batch_norm()
        # The gradient is longer than one: it is clipped.
        settings = Hyperparameters(optimizer="sgd", learning_rate=0.01, warmup_epochs=0, gradient_clip_norm=1.0)
        detector.compile(optimizer=make_optimizer(settings, 1), jit_compile=False)
    batches = tf.data.Dataset.from_tensor_slices((images, {"boxes": boxes, "labels": labels})).batch(4).repeat()
    history = detector.fit(batches, epochs=3, steps_per_epoch=1, shuffle=False, verbose=0).history
    found[devices] = {"history": history, "weights": [float(np.abs(one).sum()) for one in detector.get_weights()]}
json.dump(found, sys.stdout)
"""


@pytest.mark.parametrize("family", ["retinanet", "gfl"])
def test_two_devices_train_as_one_does_on_the_same_batch(family):
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, family], cwd=REPOSITORY, env=quiet, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = json.loads(done.stdout.strip().splitlines()[-1]).values()
    for name in ("loss", "localization_loss", "classification_loss"):
        # Sums in another order: float32's rounding.
        np.testing.assert_allclose(two["history"][name], one["history"][name], rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(two["weights"], one["weights"], rtol=1e-4)
