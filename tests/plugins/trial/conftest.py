"""A model to try out, and its process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_for

from boxwright_airflow.trial.process import ModelProcess


@pytest.fixture(scope="session")
def ready(finder: Path) -> Iterator[ModelProcess]:
    """The model in its process: TensorFlow takes long to load, so there is one for all tests."""
    os.environ["AIRFLOW__API__SECRET_KEY"] = "of the parent"
    try:
        process = ModelProcess(str(finder), idle_seconds=300)
    finally:
        del os.environ["AIRFLOW__API__SECRET_KEY"]
    wait_for(lambda: process.phase != "loading", "the model to load")
    yield process
    process.stop()
