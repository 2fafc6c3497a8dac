"""Environments of their own for tests, made on demand with what a registry or uv's cache has."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).parent / "uv"
# Of uv, where it has neither a registry nor a cache.
_UNREACHABLE = ("error sending request", "Failed to fetch", "Network connectivity is disabled", "dns error")


def environment(folder: Path, wanted: Sequence[str], at_lock: bool = True) -> Path:
    """The interpreter of a new environment; the test is skipped where nothing can be fetched.

    Args:
        folder: existing one, which gets it.
        wanted: requirements.
        at_lock: whether at the versions of the lock, with the overrides that it was made with.
    """
    uv, python = UV if UV.exists() else "uv", folder / "venv" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True, timeout=120)
    command = [uv, "pip", "install", "--quiet", "--python", python]
    if at_lock:
        constraints = folder / "constraints.txt"
        lock = (REPOSITORY / "requirements.lock").read_text()
        constraints.write_text("\n".join(re.findall(r"^[\w.\-\[\]]+==[^\s\\;]+", lock, re.M)))
        command += ["--constraint", constraints, "--override", REPOSITORY / "overrides.txt"]
    for offline in (["--offline"], []):
        done = subprocess.run([*command, *offline, *wanted], capture_output=True, text=True, timeout=900)
        if done.returncode == 0:
            return python
    if any(sign in done.stderr for sign in _UNREACHABLE):
        pytest.skip(f"no package registry and nothing cached: {done.stderr.strip().splitlines()[-1]}")
    pytest.fail(done.stderr)
