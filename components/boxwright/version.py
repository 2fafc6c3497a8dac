"""The version of this code: asked of git in a checkout, so that it is right after every commit, else as installed.

`pip install --editable` writes the version down once, when it runs; `git commit` does not run it again. The rules are
those of setuptools-scm, which names the version of a wheel: a tag `v1.2.3` is the version 1.2.3, and the second commit
after it is `1.2.4.dev2+g<commit>`; a tree with changes that are not committed ends in the day, as `.d20260131`.
"""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

NAME = "boxwright"
REPOSITORY = Path(__file__).resolve().parents[2]
_SECONDS = 10
_DESCRIBED = re.compile(r"(?:v(?P<tag>\d+\.\d+\.\d+)-(?P<distance>\d+)-g)?(?P<commit>[0-9a-f]+)(?P<changed>-dirty)?")


@cache
def current_version() -> str:
    """The version of the code that runs; it never fails, and asks git once a process."""
    return version_of(REPOSITORY) or _installed() or _base(REPOSITORY) or "0"


def version_of(checkout: Path) -> str | None:
    """The version of a checkout of this project.

    Args:
        checkout: its top folder. A copy inside another repository has no `.git` of its own, and does not count.

    Returns:
        None where git cannot tell: it is not a checkout, has no commit, or git is missing or refuses.
    """
    base = _base(checkout)
    if base is None or not (checkout / ".git").exists():
        return None
    described = _git(checkout, "describe", "--tags", "--long", "--always", "--dirty", "--abbrev=9", "--match=v[0-9]*")
    found = _DESCRIBED.fullmatch(described or "")
    if found is None:
        return None
    local = f"g{found['commit']}" + (f".d{datetime.now(UTC):%Y%m%d}" if found["changed"] else "")
    if found["tag"] is None:
        commits = _git(checkout, "rev-list", "--count", "HEAD")
        return f"{_next(base)}.dev{commits}+{local}" if commits else None
    if found["distance"] == "0" and not found["changed"]:
        return found["tag"]
    return f"{_next(found['tag'])}.dev{found['distance']}+{local}"


def _next(version: str) -> str:
    """The version that development works towards: 0.1.3 after 0.1.2, and 0.2.0 after 0.2.0.dev0."""
    if version.endswith(".dev0"):
        return version.removesuffix(".dev0")
    head, _, last = version.rpartition(".")
    return f"{head}.{int(last) + 1}"


def _base(folder: Path) -> str | None:
    """The version of a tree without git or tags, from the project's own `pyproject.toml`; None where there is none."""
    try:
        settings = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
        if settings["project"]["name"] == NAME:
            return str(settings["tool"]["setuptools_scm"]["fallback_version"])
    except (OSError, ValueError, KeyError):
        pass
    return None


def _installed() -> str | None:
    try:
        return installed_version(NAME)
    except PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    # A hook of another repository names that one in the environment, and git would believe it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - of the developer's PATH
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env=environment | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
