"""The formats that a trained detector is exported in, a row each: what the archive holds of it, and what writes it.

A format is a row here and a module with its function, which is imported when it is needed: what only packs and unpacks
archives loads no framework.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from boxwright.config import SAVED_MODEL

# Writes `name` into a folder, from the folder of a trained detector as `boxwright.model` keeps it.
Exporter = Callable[[Path, Path], None]


@dataclass(frozen=True)
class ExportFormat:
    """One format.

    Attributes:
        name: the file or folder in `model.tar.gz`.
        is_folder: which of both it is.
        module, function: the `Exporter`.
    """

    name: str
    is_folder: bool
    module: str
    function: str

    def load(self) -> Exporter:
        """The function that writes it."""
        exporter: Exporter = getattr(import_module(self.module), self.function)
        return exporter


FORMATS = (ExportFormat(SAVED_MODEL, True, "boxwright.packaging.saved_model", "export_saved_model"),)


def export_all(model_dir: Path, out_dir: Path, left_out: Collection[str] = ()) -> None:
    """Writes every format of a trained detector.

    Args:
        model_dir: folder of the trained detector.
        out_dir: existing folder that receives a file or folder a format.
        left_out: names of those that nobody wants.
    """
    for export in FORMATS:
        if export.name not in left_out:
            export.load()(model_dir, out_dir)
