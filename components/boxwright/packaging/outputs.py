"""The place of a run's results for people: `{output}/{run}/output/`."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from boxwright.config import RunConfig
from boxwright.storage import join, upload_file

ARCHIVE = "model.tar.gz"
RUN_FILE = "run.json"


# A moment of Airflow's ids, as it stands in a folder name; and what ends the names of folders that are told apart.
_MOMENT = re.compile(r"T(\d\d)-(\d\d)-(\d\d)(\.\d+)?-(\d\d)-(\d\d)")
_DIGEST = re.compile(r"-[0-9a-f]{16}$")
_LONGEST = 200


def run_folder(run_id: str) -> str:
    """The run id as a folder name: Airflow's ids hold `:` and `+`, which S3 clients and shells trip over.

    No two ids have the same. A name with `-` for what it cannot hold belongs to the one id that Airflow would make of
    it, with a moment in UTC or without any; all other ids have their digest behind it.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", run_id)
    owner = _MOMENT.sub(lambda found: "T{}:{}:{}{}+{}:{}".format(*found.groups("")), name)
    if run_id == owner and name.strip(".") and not _DIGEST.search(name):
        return name
    return f"{name[:_LONGEST]}-{hashlib.sha256(run_id.encode()).hexdigest()[:16]}"


def output_uri(config: RunConfig, run_id: str, name: str) -> str:
    """URI of one file of the run's results."""
    return join(config.output, run_folder(run_id), "output", name)


def publish(config: RunConfig, run_id: str, folder: Path, names: list[str]) -> None:
    """Uploads those of the named files, and all files of those of the named folders, of `folder` that exist."""
    for name in names:
        for path in _files(folder / name):
            upload_file(path, output_uri(config, run_id, path.relative_to(folder).as_posix()))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(found for found in path.rglob("*") if found.is_file())
    return [path] if path.exists() else []
