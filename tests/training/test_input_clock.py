from __future__ import annotations

import numpy as np
import pytest


def test_waiting_is_counted_from_asking_to_having(monkeypatch):
    import tensorflow as tf

    from boxwright.training import input_clock

    moments = iter([10.0, 10.5, 20.0, 20.25, 21.0])
    monkeypatch.setattr(input_clock.time, "monotonic", lambda: next(moments))
    clock = input_clock.InputClock()
    batches = tf.data.Dataset.from_tensor_slices((np.arange(3.0), {"labels": np.arange(3.0)})).batch(1)
    iterator = iter(clock.timed(batches))
    clock.ask()
    images, targets = next(iterator)
    assert (images.numpy().tolist(), targets["labels"].numpy().tolist()) == ([0.0], [0.0])
    clock.ask()
    next(iterator)
    next(iterator)  # nobody asked: not waiting
    assert clock.waited == pytest.approx(0.75)
    clock.restart()
    assert clock.waited == 0
