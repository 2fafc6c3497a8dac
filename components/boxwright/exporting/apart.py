"""Work in a process of its own, whose errors are raised in the caller."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from boxwright.errors import BoxwrightError, DataError, TrainingError, error_of
from boxwright.quiet import is_verbose, quieten
from boxwright.storage import write_json

ERROR_FILE = "error.json"
_SHOWN = 300


def run_apart(module: str, arguments: Sequence[str], out_dir: Path, failed: str) -> None:
    """Runs a module whose `main` is `work_apart` in another process, and waits for its end.

    Args:
        module: that is run.
        arguments: of it.
        out_dir: existing folder into which the module says why it failed.
        failed: how an error begins that is not the module's own.

    Raises:
        BoxwrightError: what the module raised.
        TrainingError: the process was ended from outside.
        DataError: it ended with what is not an error of Boxwright.
    """
    kept = None if is_verbose() else subprocess.PIPE
    command = [sys.executable, "-P", "-m", module, *arguments]
    ended = subprocess.run(command, stdout=kept, stderr=kept, text=True, check=False)
    if not ended.returncode:
        return
    path = out_dir / ERROR_FILE
    if path.exists():
        told = json.loads(path.read_text())
        raise error_of(told["exit_code"])(told["message"])
    if ended.returncode < 0:
        raise TrainingError(
            f"{failed}: the process was ended by signal {-ended.returncode}; where that is 9, its memory did not "
            "suffice"
        )
    lines = [line.strip() for line in (ended.stderr or "").splitlines() if line.strip()]
    why = (lines[-1] if lines else f"exit code {ended.returncode}")[:_SHOWN]
    raise DataError(f"{failed}: {why}; --verbose shows all that was said")


def work_apart(out_dir: Path, work: Callable[[], None]) -> int:
    """Does the work in the process of `run_apart`.

    Args:
        out_dir: receives the reason where it fails.
        work: the work.

    Returns:
        The exit code.
    """
    quieten()
    try:
        work()
    except BoxwrightError as error:
        write_json(out_dir / ERROR_FILE, {"exit_code": error.exit_code, "message": str(error)})
        return error.exit_code
    return 0
