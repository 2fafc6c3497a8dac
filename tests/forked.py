"""Processes that fork from one that has loaded the libraries of a run."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

_PRELOADED = (
    "tensorflow", "keras_hub", "mlflow", "great_expectations", "matplotlib.pyplot", "boxwright.cli.app",
    "tfx.orchestration.portable.launcher",
)  # fmt: skip


def forking() -> ForkServerContext:
    """Where processes are made."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    return context


def boxwright(arguments: Sequence[str], printed: Path | None = None) -> None:
    """The command line in this process, to its end.

    Args:
        arguments: of `boxwright`.
        printed: a file for what it prints.
    """
    from boxwright.cli import app

    sys.argv = ["boxwright", *arguments]
    if printed:
        sys.stdout = printed.open("w", buffering=1)
    app.main()
