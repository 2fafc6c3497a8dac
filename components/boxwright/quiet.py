"""What reaches people of all that libraries say: by default warnings of their own, and no lines for their makers.

With `BOXWRIGHT_VERBOSE` (or `boxwright --verbose`) everything does.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

VERBOSE = "BOXWRIGHT_VERBOSE"
# What TensorFlow's C++ writes past every log level while it is loaded:
# https://github.com/tensorflow/tensorflow/issues/100442
_CHATTER = re.compile(rb"I\d{4} |WARNING: All log messages before absl::InitializeLog\(\)|\s*$")


def is_verbose() -> bool:
    """Whether people asked for all that libraries say."""
    return bool(os.environ.get(VERBOSE))


def quieten() -> None:
    """Keeps C++ at errors and TFX still, whose errors Boxwright's own repeat; called before either is imported."""
    if is_verbose():
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("GLOG_minloglevel", "3")
    # A filter, as absl sets its level anew whenever it likes.
    logging.getLogger("absl").addFilter(_nothing)
    if "tensorflow" not in sys.modules and not any(isinstance(finder, _QuietImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _QuietImport())


def quieten_loggers(names: Sequence[str], level: int = logging.WARNING) -> None:
    """Keeps loggers that a library has set to more, at its import, at what is worth reading."""
    if not is_verbose():
        for name in names:
            logging.getLogger(name).setLevel(level)


@contextmanager
def quiet_import() -> Iterator[None]:
    """No line below a warning is logged while a library is imported that tells its own registrations."""
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


class _QuietImport(MetaPathFinder):
    """Holds back what TensorFlow's libraries write to standard error while they are loaded, as far as it is chatter."""

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            with _without_chatter():
                load(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Standard error goes to a file meanwhile; what is no chatter is written after all."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            os.write(2, b"".join(line for line in file if not _CHATTER.match(line)))
