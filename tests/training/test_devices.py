from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from boxwright.config import Hyperparameters
from boxwright.errors import TrainingError, UsageError

CLUSTER = {"worker": ["one:1", "two:2"]}


@pytest.mark.parametrize(
    ("config", "chief"),
    [
        (None, True),
        ({"cluster": {"worker": ["one:1"]}, "task": {"type": "worker", "index": 0}}, True),
        ({"cluster": CLUSTER, "task": {"type": "worker", "index": 0}}, True),
        ({"cluster": CLUSTER, "task": {"type": "worker", "index": 1}}, False),
        ({"cluster": CLUSTER | {"chief": ["zero:0"]}, "task": {"type": "worker", "index": 0}}, False),
        ({"cluster": CLUSTER | {"chief": ["zero:0"]}, "task": {"type": "chief", "index": 0}}, True),
    ],
)
def test_one_of_several_machines_writes(monkeypatch, config, chief):
    from boxwright.training.devices import is_chief

    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config:
        monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert is_chief() == chief


@pytest.mark.parametrize("text", ["{", "[]", '"text"', '{"cluster": 3}'])
def test_a_broken_cluster_is_refused_with_the_shape_that_is_expected(monkeypatch, text):
    from boxwright.training.devices import distribution

    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UsageError, match=r'TF_CONFIG=.*expected \{"cluster"'):
        distribution()


@pytest.mark.parametrize(
    ("gpus", "switch", "policy"),
    [(0, "Auto", "float32"), (0, "True", "mixed_bfloat16"), (1, "Auto", "mixed_float16"), (1, "False", "float32")],
)
def test_half_precision_and_xla_are_for_gpus_unless_told_otherwise(monkeypatch, gpus, switch, policy):
    import tensorflow as tf

    from boxwright.training.devices import precision_policy, uses_xla

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU"] * gpus)
    settings = Hyperparameters(mixed_precision=switch, jit_compile=switch)
    assert precision_policy(settings, 320) == policy
    assert uses_xla(settings) == (policy != "float32")


def test_half_precision_on_a_cpu_is_left_where_its_gradients_would_hold_stale_memory(caplog):
    from boxwright.training.devices import precision_policy

    assert precision_policy(Hyperparameters(mixed_precision="True"), 64) == "float32"
    assert "mixed_precision is ignored: on a CPU it needs an image_size above 64" in caplog.text
    assert precision_policy(Hyperparameters(mixed_precision="True"), 96) == "mixed_bfloat16"


def test_a_batch_that_cannot_fit_is_refused_before_the_system_ends_the_process(monkeypatch):
    import keras

    from boxwright.training import devices

    images = keras.Input((64, 64, 3))
    inner = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.Conv2D(8, 3, padding="same")])
    model = keras.Model(images, keras.layers.Conv2D(1, 3, strides=2, padding="same")(inner(images)))
    model.image_size = 64
    # The input, 64 x 64 x 8 values and 32 x 32 ones, four bytes each.
    needed = 4 * (64 * 64 * 3 + 64 * 64 * 8 + 32 * 32)
    monkeypatch.setattr(devices, "available_memory", lambda: 10.0 * needed)
    devices.check_memory(model, 10)
    with pytest.raises(TrainingError, match=r"batch_size=11 at image_size=64 .*halve batch_size"):
        devices.check_memory(model, 11)


def test_examples_stay_in_memory_where_a_quarter_of_it_suffices(monkeypatch):
    from boxwright.training import devices

    monkeypatch.setattr(devices, "available_memory", lambda: 400.0)
    assert devices.fits_in_memory(100)
    assert not devices.fits_in_memory(101)


def test_some_memory_is_free():
    from boxwright.training.devices import available_memory

    assert available_memory() > 1e6


@pytest.mark.parametrize("keep", [False, True])
def test_memory_that_a_step_frees_serves_the_next(keep):
    """A page that is given back is cleared anew when it is needed again: a fault each."""
    script = f"""
import resource
from boxwright.training.devices import keep_freed_memory
if {keep}:
    keep_freed_memory()
def step():
    return [len(b'x' * (64 << 20)) for _ in range(5)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    pages = 5 * (64 << 20) // resource.getpagesize()
    faults = int(done.stdout)
    assert faults < pages / 20 if keep else faults > pages / 2
