"""TensorFlow's import: without its chatter, and without what Keras loads for functions that nobody calls here."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# What TensorFlow's C++ writes past every log level while it is loaded:
# https://github.com/tensorflow/tensorflow/issues/100442
_CHATTER = re.compile(rb"I\d{4} |WARNING: All log messages before absl::InitializeLog\(\)|\s*$")
# Keras imports them where they are installed, for its wrappers, its galleries and its data frames. That is a third of
# the 6.6 seconds of the processor that `import tensorflow` takes.
_OPTIONAL = ("sklearn", "matplotlib.pyplot", "pandas")


def prepare_import(quiet: bool, lean: bool) -> None:
    """Prepares the import of TensorFlow, unless it was imported or prepared before.

    Args:
        quiet: hold back what its libraries write to standard error meanwhile, as far as it is chatter.
        lean: leave out what Keras imports only where it is there. It can be imported afterwards, but Keras's own
            wrappers and galleries for it say in this process that it is missing.
    """
    prepared = any(isinstance(finder, _Finder) for finder in sys.meta_path)
    if (quiet or lean) and "tensorflow" not in sys.modules and not prepared:
        sys.meta_path.insert(0, _Finder(quiet, lean))


class _Finder(MetaPathFinder):
    def __init__(self, quiet: bool, lean: bool) -> None:
        self._quiet, self._lean = quiet, lean

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            with ExitStack() as stack:
                if self._quiet:
                    stack.enter_context(_without_chatter())
                if self._lean:
                    stack.enter_context(_without(_OPTIONAL))
                load(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Modules that are not loaded yet cannot be imported meanwhile: `None` is Python's own mark for that."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


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
