"""The place of a run's results for people: `{output}/{run}/output/`."""

from __future__ import annotations

import re
from pathlib import Path

from boxwright.config import RunConfig
from boxwright.storage import join, upload_file

ARCHIVE = "model.tar.gz"
RUN_FILE = "run.json"


def run_folder(run_id: str) -> str:
    """The run id as a folder name: Airflow's ids hold `:` and `+`, which S3 clients and shells trip over."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", run_id)


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
