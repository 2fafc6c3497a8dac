"""Boxwright: fine-tunes, measures, releases and serves TensorFlow object detectors.

Everything below this package works without Airflow; `plugins` and `dags` put it on a schedule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str


def __getattr__(name: str) -> str:
    """`__version__`, worked out when somebody asks for it."""
    if name == "__version__":
        from boxwright.version import current_version

        return current_version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
