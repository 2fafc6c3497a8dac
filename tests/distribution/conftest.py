"""The package as it is distributed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bare_env import REPOSITORY, UV


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by way of a source archive, from a copy without git."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("components", "plugins"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder)
    built = folder / "dist"
    command = [UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", built, folder]
    subprocess.run(command, check=True, timeout=300)
    return next(built.glob("*.whl"))
