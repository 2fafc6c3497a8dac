"""A model to try out, and its process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from finder import export_finder, write_facts
from waiting import wait_for

from boxwright_airflow.trial.process import ModelProcess


@pytest.fixture(scope="session")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tried")
    export_finder(folder)
    write_facts(folder)
    return folder


@pytest.fixture(scope="session")
def ready(finder: Path) -> Iterator[ModelProcess]:
    """The model in its process: TensorFlow takes long to load, so there is one for all tests."""
    os.environ["AIRFLOW__API__SECRET_KEY"] = "of the parent"
    try:
        process = ModelProcess(str(finder), idle_seconds=300)
    finally:
        del os.environ["AIRFLOW__API__SECRET_KEY"]
    wait_for(lambda: process.phase != "loading")
    yield process
    process.stop()
