"""A notebook that was run becomes a page: its text, its code, and what each cell puts out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from PIL import Image

from docs.generator import notebooks

CODE = """
from pathlib import Path
for number in range(40):
    print("line", number, Path.cwd() / "a file")
"""
SHOWN = """
from IPython.display import HTML, display
import pandas
from PIL import Image
display(Image.new("RGB", (8, 6), (200, 0, 0)), pandas.DataFrame({"a | b": [1]}))
SIZE * 2
"""


def notebook(*sources: str) -> Any:
    cells = [nbformat.v4.new_markdown_cell("# A title"), nbformat.v4.new_code_cell("SIZE = 3")]
    cells[1].metadata["tags"] = ["parameters"]
    return nbformat.v4.new_notebook(cells=[*cells, *map(nbformat.v4.new_code_cell, sources)])


def test_a_page_has_text_pictures_and_tables_and_no_path_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebooks, "PAGES", tmp_path / "pages")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "it-09-9.png").write_bytes(b"of an earlier run")
    made = notebook(CODE.strip(), SHOWN.strip())
    ran = notebooks.run(made, tmp_path, {"SIZE": 21})
    notebooks.write_page(Path("it.ipynb"), ran, tmp_path)
    page = (tmp_path / "pages" / "it.md").read_text()
    assert page.startswith("# A title\n\n```python\nSIZE = 3\nSIZE = 21\n```")
    assert "line 0 a file\n" in page and "line 39 a file" in page and "... 24 lines ..." in page
    assert "line 20" not in page and str(tmp_path) not in page
    assert "![What the cell shows](it-03-0.png)" in page and "```text\n42\n```" in page
    assert "<table" in page and "<style" not in page
    assert Image.open(tmp_path / "pages" / "it-03-0.png").size == (8, 6)
    assert [path.name for path in (tmp_path / "pages").glob("*.png")] == ["it-03-0.png"]


def test_lines_of_a_terminal_are_shown_as_they_end_and_without_its_colours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebooks, "PAGES", tmp_path / "pages")
    told = r"10 %\r100 %\r\n\x1b[1;31mred\x1b[0m\r\nlast\r\n"
    notebooks.write_page(Path("it.ipynb"), notebooks.run(notebook(f'print("{told}")'), tmp_path), tmp_path)
    assert "```text\n100 %\nred\nlast\n```" in (tmp_path / "pages" / "it.md").read_text()


def test_a_page_within_a_notebook_is_shown_as_it_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "PAGES", tmp_path / "pages")
    monkeypatch.setattr(notebooks, "_looked_at", lambda page: page.encode())
    code = (
        "from boxwright.api.run import page_frame\nfrom IPython.display import HTML\nHTML(page_frame('<p>\"so\"</p>'))"
    )
    notebooks.write_page(Path("it.ipynb"), notebooks.run(notebook(code), tmp_path), tmp_path)
    assert (tmp_path / "pages" / "it-02-0.png").read_text() == '<p>"so"</p>'


def test_a_cell_that_fails_ends_it(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebooks.run(notebook("1 / 0"), tmp_path)
