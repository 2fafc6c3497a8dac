"""The version of the code that makes a model: a digest of the sources of the parts that can change it.

The version of the package would be another for every commit, also for one that changes a page, and the same for all
changes that are not committed yet. The content of the sources is the same wherever they come from: a checkout, a
changed tree, a wheel, an image without git.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
# Folders and files below the package: from an image file and its boxes to the archive of a model. The other parts move
# files, keep versions, serve or show, or decide what the other facts of a recipe say.
MODEL_CODE = (
    "dataset/annotations",
    "dataset/examples",
    "dataset/snapshot",
    "dataset/validation",
    "evaluation",
    "images",
    "model",
    "packaging",
    "pipeline",
    "training",
)
# Below those: what only shows.
_SHOWS = ("evaluation/report",)


@cache
def code_digest() -> str:
    """SHA-256 of the code that runs, as it is on disk when it is first asked for."""
    return digest_of(PACKAGE)


def digest_of(package: Path) -> str:
    """SHA-256 over names and contents of the files of `MODEL_CODE`.

    Args:
        package: the folder `boxwright`, of this or of another version.
    """
    digest = hashlib.sha256()
    for name, path in sorted(_sources(package).items()):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _sources(package: Path) -> dict[str, Path]:
    found = {}
    for folder in MODEL_CODE:
        for path in (package / folder).rglob("*"):
            name = path.relative_to(package).as_posix()
            if path.is_file() and "__pycache__" not in path.parts and not name.startswith(_SHOWS):
                found[name] = path
    return found
