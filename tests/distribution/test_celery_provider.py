"""The locked celery and the locked provider of Airflow's Celery executor fit: nothing else of the tests loads them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "names",
    [
        "airflow.providers.celery.executors.celery_executor CeleryExecutor",
        "airflow.providers.celery.cli.celery_command worker",
    ],
    ids=["executor", "worker"],
)
def test_it_loads(names: str, tmp_path: os.PathLike[str]) -> None:
    module, name = names.split()
    # Airflow in a process and a home of its own.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")}
    code = f"from {module} import {name}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"AIRFLOW_HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
