"""A registry whose tables are made once for all tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from boxwright.registry.mlflow_registry import Registry, Release

MakeRelease = Callable[..., Release]


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    """A database of the test's own."""
    return Path(shutil.copyfile(empty_store, tmp_path / "mlflow.sqlite"))


@pytest.fixture
def registry(store: Path) -> Registry:
    return Registry(f"sqlite:///{store}")


@pytest.fixture
def release(tmp_path: Path) -> MakeRelease:
    """Makes releases that differ in what is given."""
    picture = tmp_path / "predictions.png"
    picture.write_bytes(b"a picture")

    def make(run_id: str, as_of: str = "2025-03-01", ap: float = 0.4, **changes: Any) -> Release:
        facts: dict[str, Any] = {
            "model_name": "detector",
            "run_id": run_id,
            "archive_uri": f"{tmp_path}/{run_id}/output/model.tar.gz",
            "as_of": datetime.fromisoformat(as_of).replace(tzinfo=UTC),
            "metrics": {"AP": ap, "AP50": ap + 0.1, "images": 72.0},
            "fingerprint": "sha256:abc",
            "parent": "models:/detector/1",
            "model_id": "retinanet-efficientnet-lite0-320",
            "classes": ["RBC", "WBC ☃ 'quoted'"],
            "config_json": '{"training": "s3://data/train", "hyperparameters": {"epochs": 3}}',
            "code_version": "0.1.0",
            "pictures": [picture],
        }
        return Release(**(facts | changes))

    return make
