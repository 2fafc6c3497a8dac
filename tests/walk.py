"""The commands of the tutorial, taken out of the page to be run as somebody pastes them into a shell."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tutorial.md"
# What tells each of the page's blocks from the others, and which test runs it.
BLOCKS = {
    "demo": "make demo",  # tests/stack/test_demo.py and the runs of tests/live; it takes minutes
    "up": "make up",  # `manager.up`, with which tests/live begins
    "draw": "boxwright sample",
    "convert": "boxwright validate",
    "upload": "boxwright upload bolts\n",
    "trigger": "boxwright trigger",
    "run": "boxwright run",  # tests/cli/test_cli.py
    "serve": "boxwright serve",
    "ask": "/invocations",
    "token": "/auth/token",
    "event": "/assets/events",
    "weeks": "boxwright upload bolts/training",
    "backfill": "/backfills",
}
EPOCHS = "--set epochs=20"
SECONDS = 900


def all_blocks() -> list[str]:
    """The page's shell commands, block by block."""
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def block(name: str) -> str:
    """One block of the page by its name in `BLOCKS`."""
    (found,) = [one for one in all_blocks() if BLOCKS[name] in one]
    return found


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """A block with its texts changed, each of which it has."""
    for old, new in changes.items():
        assert old in text, f"the page no longer has {old!r}"
        text = text.replace(old, new)
    return text


def words(text: str) -> list[str]:
    """The words of a block of one command, without the program's name."""
    return shlex.split(text.replace("\\\n", " "))[1:]


@dataclass
class Shell:
    """A shell in a folder that has what a checkout has: what a block sets, the next one finds.

    Attributes:
        folder: where it is.
        home: the stack's.
        said: what each block printed, for a test that fails.
    """

    folder: Path
    home: Path
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / ".venv").symlink_to(sys.prefix)
        (self.folder / "var").symlink_to(self.home)

    def start(self, name: str, changes: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Starts a block in a process group of its own."""
        state = shlex.quote(str(self.folder / "state.sh"))
        script = (
            f"[ ! -e {state} ] || . {state}\nset -euo pipefail\n{replaced(block(name), changes or {})}\n"
            f"{{ export -p; declare -p TOKEN 2>/dev/null || true; declare -f; }} > {state}\n"
        )
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLFLOW_"))}
        return subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.folder,
            env=kept | {"BOXWRIGHT_HOME": str(self.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, name: str, changes: Mapping[str, str] | None = None) -> str:
        """Runs a block to its end, which has to be a good one; what it printed."""
        process = self.start(name, changes)
        said, _ = process.communicate(timeout=SECONDS)
        self.said.append(said)
        assert process.returncode == 0, said
        return said
