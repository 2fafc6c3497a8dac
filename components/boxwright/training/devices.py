"""The machine's resources and their use in training: devices, number format, compiler, memory."""

from __future__ import annotations

import ctypes
import json
import logging
import math
import os
from pathlib import Path
from typing import Any

import psutil
import tensorflow as tf

from boxwright.config import Hyperparameters
from boxwright.errors import OutOfMemoryError, UsageError
from boxwright.training.generation import note_connected

log = logging.getLogger("boxwright.training")

_CGROUP = Path("/sys/fs/cgroup")

# The stride of the coarsest map that a pyramid convolves once more, in pixels.
_COARSEST_STRIDE = 64

# Parameters of glibc's `mallopt` (malloc.h), and what makes it keep freed memory: see mallopt(3).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_KEEPING = ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, 256 << 20))


def distribution(devices: list[str] | None = None) -> Any:
    """The strategy that trains on all devices there are.

    Several machines train together when each is told by `TF_CONFIG` who they are; several GPUs of one machine by
    themselves; else there is one device.

    Args:
        devices: to use instead of the machine's GPUs.

    Raises:
        UsageError: when `TF_CONFIG` is not what TensorFlow reads.
    """
    if len(_workers()) > 1:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        note_connected()
        return strategy
    devices = devices or [device.name for device in tf.config.list_logical_devices("GPU")]
    return tf.distribute.MirroredStrategy(devices) if len(devices) > 1 else tf.distribute.get_strategy()


def is_chief() -> bool:
    """Whether this process writes what a training leaves: the only one, or the first of several."""
    task = _cluster().get("task", {})
    return (
        is_alone() or task.get("type") == "chief" or (task.get("index") == 0 and "chief" not in _cluster()["cluster"])
    )


def is_alone() -> bool:
    """Whether no other machine trains with this one."""
    return len(_workers()) < 2


def _workers() -> list[str]:
    cluster = _cluster().get("cluster", {})
    return [*cluster.get("chief", []), *cluster.get("worker", [])]


def _cluster() -> dict[str, Any]:
    text = os.environ.get("TF_CONFIG", "{}")
    try:
        found = json.loads(text)
        _ = found.get("cluster", {}).get("worker", [])
    except (ValueError, AttributeError):
        raise UsageError(
            f'TF_CONFIG={text[:200]!r}: expected {{"cluster": {{"worker": ["host:port", ...]}}, '
            '"task": {"type": "worker", "index": 0}}}'
        ) from None
    return dict(found)


def precision_policy(hyperparameters: Hyperparameters, image_size: int) -> str:
    """Keras's dtype policy: half precision on GPUs, bfloat16 where it is asked for on a CPU.

    `image_size`: the model's input height and width in pixels.
    """
    on_gpu = has_gpu()
    if not switched(hyperparameters.mixed_precision, on_gpu):
        return "float32"
    if on_gpu:
        return "mixed_float16"
    if image_size <= _COARSEST_STRIDE:
        # oneDNN's bfloat16 gradient of a 3x3 kernel with stride 2 over a single pixel holds memory that nobody wrote.
        log.warning("mixed_precision is ignored: on a CPU it needs an image_size above %d", _COARSEST_STRIDE)
        return "float32"
    return "mixed_bfloat16"


def uses_xla(hyperparameters: Hyperparameters) -> bool:
    """Whether XLA compiles the training step: on GPUs; on a CPU it is slower than the plain graph."""
    return switched(hyperparameters.jit_compile, has_gpu())


def switched(switch: str, auto: bool) -> bool:
    """A three-valued switch as a truth value."""
    return auto if switch == "Auto" else switch == "True"


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def keep_freed_memory() -> None:
    """Lets this process keep the memory that a training step frees, for the next step: for training on a CPU.

    glibc asks the system for each large tensor and gives it back when it is freed; the system clears all its pages
    again each time, which takes up to a third of a step (`benchmarks.training`). With a GPU tensors lie elsewhere, and
    another C library does as it does.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or has_gpu():
        return
    for parameter, value in _KEEPING:
        mallopt(parameter, value)


def check_memory(detector: Any, batch_size: int) -> None:
    """Refuses a batch that cannot fit, before the system ends the process for it.

    Training keeps what every layer put out until the gradients are there; that alone is counted, at four bytes a value
    or two, so a batch that passes may still be too large. On GPUs TensorFlow says so itself.

    Raises:
        OutOfMemoryError: with advice.
    """
    if has_gpu():
        return
    needed = batch_size * _values_an_image(detector) * tf.as_dtype(detector.compute_dtype).size
    there = available_memory()
    if needed > there:
        detail = f"{needed / 1e9:.1f} GB at least, {there / 1e9:.1f} GB free"
        raise OutOfMemoryError(memory_advice(batch_size, detector.image_size, detail))


def fits_in_memory(size: int) -> bool:
    """Whether the training examples, of so many bytes, may stay in memory: in a quarter of what is free."""
    return size <= available_memory() / 4


def memory_advice(batch_size: int, image_size: int, detail: str) -> str:
    """The one message about memory, whoever noticed."""
    return (
        f"memory does not suffice for batch_size={batch_size} at image_size={image_size} ({detail}): halve batch_size "
        "(and learning_rate with it), or lower image_size"
    )


def available_memory() -> float:
    """Bytes that this process may still take: of the machine, or of the container it runs in."""
    limits = [float(psutil.virtual_memory().available)]
    try:
        limits.append(float((_CGROUP / "memory.max").read_text()) - float((_CGROUP / "memory.current").read_text()))
    except (OSError, ValueError):
        pass  # no container, or one without a limit
    return min(limits)


def _values_an_image(model: Any) -> int:
    """Numbers that the layers of a functional model put out for one image."""
    total = 0
    for layer in model.layers:
        if hasattr(layer, "layers"):
            total += _values_an_image(layer)
            continue
        for output in tf.nest.flatten(getattr(layer, "output", [])):
            total += math.prod(side for side in output.shape[1:] if side)
    return total
