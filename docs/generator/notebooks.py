"""The notebooks as pages: each cell with what it puts out.

`python -m docs.generator.notebooks` runs them, which trains models and takes half an hour, and writes
`docs/notebooks/`. `make docs` runs none of them: it builds what lies there, and a test holds that to the notebooks.
"""

from __future__ import annotations

import base64
import html
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from docs.generator.house import REPOSITORY

NOTEBOOKS = REPOSITORY / "notebooks"
PAGES = REPOSITORY / "docs" / "notebooks"
_PARAMETERS = "parameters"
_SECONDS_A_CELL = 1800
_PICTURES = {"image/png": "png", "image/jpeg": "jpg"}
_FRAME = re.compile(r'<iframe srcdoc="([^"]*)"')
_STYLE = re.compile(r"<style.*?</style>\n?", re.DOTALL)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Of a long text its first and last lines.
_SHOWN_LINES = 8
_WIDTH, _HEIGHT = 960, 700  # pixels of a page within a notebook


def notebooks() -> list[Path]:
    """The notebooks of the repository."""
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def read(path: Path) -> Any:
    """A notebook."""
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def run(notebook: Any, folder: Path, values: Mapping[str, Any] | None = None) -> Any:
    """Runs a notebook from start to end, in a folder of its own.

    Args:
        notebook: as `read` gives it; it gets the outputs.
        folder: that it runs in, where Boxwright's home lies too.
        values: in place of those of the cell with the tag `parameters`.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised.
    """
    for cell in notebook.cells:
        if values and _PARAMETERS in cell.metadata.get("tags", []):
            cell.source += "".join(f"\n{name} = {value!r}" for name, value in values.items())
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment |= {"BOXWRIGHT_HOME": str(folder / "home"), "IPYTHONDIR": str(folder / "ipython")}
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=_SECONDS_A_CELL, kernel_name="python3", resources=resources)
    client.execute(env=environment)
    return notebook


def blocks(notebook: Any) -> list[str]:
    """What a page has of the notebook itself: its text, and the code as blocks."""
    return [
        cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```" for cell in notebook.cells
    ]


def write_page(path: Path, notebook: Any, folder: Path) -> None:
    """Writes the page of a notebook that was run, and its pictures beside it.

    Args:
        path: of the notebook.
        notebook: with outputs.
        folder: that it ran in, which the page does not name.
    """
    PAGES.mkdir(parents=True, exist_ok=True)
    for old in PAGES.glob(f"{path.stem}-*"):
        old.unlink()
    parts = []
    for number, (block, cell) in enumerate(zip(blocks(notebook), notebook.cells, strict=True)):
        parts.append(block)
        parts += _outputs(cell.get("outputs", []), f"{path.stem}-{number:02d}")
    told = "\n\n".join(parts).replace(f"{folder}/", "") + "\n"
    (PAGES / f"{path.stem}.md").write_text(told, "utf-8")


def _outputs(outputs: Sequence[Any], name: str) -> Iterator[str]:
    for text in _streams(outputs):
        yield _text(text)
    for number, data in enumerate(output["data"] for output in outputs if "data" in output):
        if kind := next((kind for kind in _PICTURES if kind in data), None):
            yield _picture(base64.b64decode(data[kind]), f"{name}-{number}.{_PICTURES[kind]}")
        elif frame := _FRAME.search(data.get("text/html", "")):
            yield _picture(_looked_at(html.unescape(frame[1])), f"{name}-{number}.png")
        elif "text/html" in data:
            yield _STYLE.sub("", data["text/html"])
        elif "text/plain" in data:
            yield _text(data["text/plain"])


def _streams(outputs: Sequence[Any]) -> list[str]:
    """What was printed, whatever it was printed to."""
    text = "".join(output["text"] for output in outputs if output["output_type"] == "stream")
    return [text] if text.strip() else []


def _text(text: str) -> str:
    # What a terminal shows of a line that was written over; one that a shell's command printed ends in \r as well.
    lines = [line.rstrip().rpartition("\r")[2] for line in _COLOURS.sub("", text).rstrip().split("\n")]
    if len(lines) > 2 * _SHOWN_LINES:
        left_out = f"... {len(lines) - 2 * _SHOWN_LINES} lines ..."
        lines = [*lines[:_SHOWN_LINES], left_out, *lines[-_SHOWN_LINES:]]
    return "```text\n" + "\n".join(lines) + "\n```"


def _picture(content: bytes, name: str) -> str:
    (PAGES / name).write_bytes(content)
    return f"![What the cell shows]({name})"


def _looked_at(page: str) -> bytes:
    """A page as it looks within a notebook, as PNG."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, java_script_enabled=False)
        view.set_content(page)
        picture = view.screenshot()
        browser.close()
    return picture


def main(names: Sequence[str]) -> None:
    """Runs the named notebooks, or all, and writes their pages."""
    for path in notebooks():
        if names and path.stem not in names:
            continue
        print(f"docs: running {path.name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="boxwright-notebook-") as folder:
            write_page(path, run(read(path), Path(folder)), Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
