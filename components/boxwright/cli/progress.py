"""The progress of a long command: a bar on a terminal, and elsewhere a line in the log from time to time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 10
_log = logging.getLogger("boxwright")


def say_loading(*models: str) -> None:
    """Says at once what a command waits for: with TensorFlow it takes some ten seconds before there is more to say."""
    _log.info("loading %s", " and ".join(models))


@contextmanager
def shown(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows how many of a number of things are done.

    Args:
        what: the things, in the plural.

    Yields:
        A function to call with the number that is done, and the number of all.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told > _SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            _log.info("%d of %d %s", done, total, what)

    yield tell
