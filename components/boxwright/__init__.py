"""Boxwright: fine-tunes, measures, releases and serves TensorFlow object detectors.

Everything below this package works without Airflow; `plugins` and `dags` put it on a schedule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boxwright.api import Detection as Detection
    from boxwright.api import Detections as Detections
    from boxwright.api import Detector as Detector
    from boxwright.api import Run as Run
    from boxwright.api import Validation as Validation
    from boxwright.api import hyperparameters as hyperparameters
    from boxwright.api import models as models
    from boxwright.api import open_registry as open_registry
    from boxwright.api import resume as resume
    from boxwright.api import train as train
    from boxwright.api import validate as validate

    __version__: str

__all__ = [
    "Detection",
    "Detections",
    "Detector",
    "Run",
    "Validation",
    "hyperparameters",
    "models",
    "open_registry",
    "resume",
    "train",
    "validate",
]


def __getattr__(name: str) -> Any:
    """A name of the Python interface, or `__version__`, loaded when somebody asks for it."""
    if name == "__version__":
        from boxwright.version import current_version

        return current_version()
    if name in __all__:
        from boxwright import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
