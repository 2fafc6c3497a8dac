"""`boxwright[train]` in an empty environment: the README's ten lines in a Jupyter kernel, ending in a picture."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from bare_env import REPOSITORY, environment
from PIL import Image

from boxwright.dataset.sample import generate_sample

KERNEL = ("ipykernel", "nbclient")
EXECUTE = """
import json, sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(sys.stdin.read())])
NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
print(json.dumps(notebook.cells[0].outputs))
"""


@pytest.mark.long
def test_ten_lines_of_the_readme_end_in_a_picture(wheel: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    (lines,) = (block for block in blocks if "boxwright.train(" in block)
    assert len([line for line in lines.splitlines() if line.strip()]) == 10
    python = environment(tmp_path, [f"boxwright[train] @ {wheel.as_uri()}", *KERNEL])
    generate_sample(tmp_path / "sample", images=12, seed=1)
    (work := tmp_path / "work" / "DATA").mkdir(parents=True)
    shutil.copytree(tmp_path / "sample" / "training", work / "train")
    shutil.copytree(tmp_path / "sample" / "validation", work / "val")
    shutil.copy(next((work / "val" / "images").iterdir()), work.parent / "photo.jpg")
    # Made small: a model that learns nothing, and a gate that lets it through.
    small = 'hyperparameters={"epochs": 1, "image_size": 96}, model_id="tiny", '
    small += "gate_min_ap50=0, gate_classes_told_apart=False"
    assert 'hyperparameters={"epochs": 20}' in lines
    code = lines.replace('hyperparameters={"epochs": 20}', small)
    kept = {"PATH": f"{python.parent}:/usr/bin:/bin", "HOME": str(tmp_path), "BOXWRIGHT_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [python, "-c", EXECUTE], input=code, capture_output=True, text=True, cwd=work.parent, env=kept, timeout=1200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *_, shown = json.loads(done.stdout.splitlines()[-1])
    picture = Image.open(io.BytesIO(base64.b64decode(shown["data"]["image/png"])))
    assert picture.size == Image.open(work.parent / "photo.jpg").size
    if folder := os.environ.get("BOXWRIGHT_SHOTS"):
        picture.save(Path(folder, "readme-in-a-kernel.png"))
