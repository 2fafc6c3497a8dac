"""Filters for what libraries print: by default only warnings that concern a user are shown.

With `BOXWRIGHT_VERBOSE` (or `boxwright --verbose`) everything is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from boxwright.tensorflow_import import prepare_import

VERBOSE = "BOXWRIGHT_VERBOSE"


def is_verbose() -> bool:
    """Whether people asked for all that libraries say."""
    return bool(os.environ.get(VERBOSE))


def quieten(lean: bool = True) -> None:
    """Keeps C++ at errors, botocore at warnings, and TFX still, whose errors Boxwright's own repeat.

    Called before either is imported.

    Args:
        lean: see `prepare_import`; not where the process is a user's.
    """
    prepare_import(quiet=not is_verbose(), lean=lean)
    if is_verbose():
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("GLOG_minloglevel", "3")
    quieten_loggers(["botocore"])
    # A filter, as absl sets its level anew whenever it likes.
    logging.getLogger("absl").addFilter(_nothing)


def quieten_loggers(names: Sequence[str], level: int = logging.WARNING) -> None:
    """Keeps loggers that a library has set to more, at its import, at what is worth reading."""
    if not is_verbose():
        for name in names:
            logging.getLogger(name).setLevel(level)


@contextmanager
def quiet_import() -> Iterator[None]:
    """Silences log lines below a warning while a library is imported that logs its own registrations."""
    before = logging.root.manager.disable
    if not is_verbose():
        logging.disable(max(before, logging.INFO))
    try:
        yield
    finally:
        logging.disable(before)


def _nothing(record: logging.LogRecord) -> bool:
    del record
    return False
