"""Registers a packaged model with the facts of its run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from components.config import RunConfig, Settings
from components.evaluation.files import PICTURES, REPORT_PAGE
from components.release.outputs import RUN_FILE
from components.run_info import RunInfo

if TYPE_CHECKING:
    from components.release.registry import Version


def register_model(
    config: RunConfig,
    run: RunInfo,
    package_dir: Path,
    evaluation_dir: Path,
    archive_uri: str,
    accepted: bool = True,
) -> Version:
    """Makes, or finds, the run's version in the registry.

    Args:
        config: the run's configuration.
        run: has one version, however often this step runs.
        package_dir: folder of `package_model`, for `run.json`.
        evaluation_dir: folder of `evaluate`, for the report and its pictures.
        archive_uri: the uploaded `model.tar.gz`.
        accepted: False for a model that did not pass its gate.
    """
    from components.release.registry import Registry, Release

    facts = json.loads((package_dir / RUN_FILE).read_text())
    release = Release(
        model_name=config.model_name,
        run_id=run.run_id,
        archive_uri=archive_uri,
        as_of=run.as_of,
        metrics={name: value for name, value in facts["metrics"].items() if value is not None},
        fingerprint=facts["dataset_fingerprint"],
        parent=facts["parent"],
        model_id=facts["model_id"],
        classes=facts["classes"],
        config_json=config.to_json(),
        code_version=facts["code_version"],
        pictures=[path for name in (*PICTURES, REPORT_PAGE) if (path := evaluation_dir / name).exists()],
        accepted=accepted,
    )
    return Registry(Settings.from_environment().tracking_uri).register(release)
