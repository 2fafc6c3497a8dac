"""Processes that fork from one that has loaded the libraries of a run."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_PRELOADED = (
    "tensorflow", "keras_hub", "mlflow", "great_expectations", "matplotlib.pyplot", "boxwright.cli.app",
    "tfx.orchestration.portable.launcher",
)  # fmt: skip


def process(target: Callable[..., Any], *arguments: Any) -> ForkServerProcess:
    """A process that calls the target, to be started; it has this one's environment.

    The server that it forks from has the environment of the test that was the first to need it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    return context.Process(target=_call, args=(dict(os.environ), target, arguments))


def _call(environment: dict[str, str], target: Callable[..., Any], arguments: Sequence[Any]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    target(*arguments)


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
