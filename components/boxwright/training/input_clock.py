"""The time that a training waits for its input."""

from __future__ import annotations

import time
from typing import Any

import tensorflow as tf


class InputClock:
    """Measures the time between asking for a batch and having it. One thread asks, as `fit` does.

    Attributes:
        waited: seconds since `restart`.
    """

    def __init__(self) -> None:
        self.waited = 0.0
        self._asked: float | None = None

    def restart(self) -> None:
        """Starts counting from zero."""
        self.waited, self._asked = 0.0, None

    def ask(self) -> None:
        """The next batch is asked for now."""
        self._asked = time.monotonic()

    def timed(self, batches: Any) -> Any:
        """The same `(images, targets)` batches; each is noted on its way out."""

        @tf.autograph.experimental.do_not_convert
        def note(images: Any, targets: Any) -> tuple[Any, Any]:
            with tf.control_dependencies([tf.numpy_function(self._arrived, [], tf.float64)]):
                return tf.identity(images), targets

        options = tf.data.Options()
        # A buffer behind the clock would be filled while nobody waits.
        options.experimental_optimization.inject_prefetch = False
        return batches.map(note).with_options(options)

    def _arrived(self) -> float:
        now = time.monotonic()
        if self._asked is not None:
            self.waited += now - self._asked
            self._asked = None
        return now
