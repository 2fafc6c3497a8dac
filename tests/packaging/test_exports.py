from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from boxwright.packaging import archive, exports
from boxwright.packaging.exports import FORMATS, ExportFormat, export_all


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExportFormat]:
    """A format that is a row and a function, and nothing else: the names of the detector's files."""

    def write(model_dir: Path, out_dir: Path) -> None:
        names = sorted(path.name for path in model_dir.iterdir())
        (out_dir / "listing.txt").write_text("\n".join(names))

    module = ModuleType("listing_format")
    module.write = write  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "listing_format", module)
    row = ExportFormat("listing.txt", False, "listing_format", "write")
    monkeypatch.setattr(exports, "FORMATS", (row,))
    importlib.reload(archive)
    yield row
    monkeypatch.undo()
    importlib.reload(archive)


def test_a_format_is_a_row_and_a_function(listing: ExportFormat, tmp_path: Path) -> None:
    detector, content = tmp_path / "detector", tmp_path / "content"
    detector.mkdir()
    content.mkdir()
    (detector / "model.json").write_text("{}")
    export_all(detector, content)
    archive.pack(content, tmp_path / "model.tar.gz")
    archive.unpack(tmp_path / "model.tar.gz", tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "listing.txt").read_text() == "model.json"


def test_an_archive_may_hold_every_format() -> None:
    for export in FORMATS:
        assert archive.LAYOUT.problem(export.name, export.is_folder) is None
        assert callable(export.load())
