"""The first runs of a cluster, all at once: they make the database of ML Metadata that they then share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.config.settings import Settings
from boxwright.metadata.database import look_at_database
from boxwright.postgresql import load_psycopg2
from boxwright.registry.opening import open_registry
from boxwright.stack.cluster import METADATA, TUNING
from cluster.conftest import running_cluster

if TYPE_CHECKING:
    from cluster.conftest import Cluster

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
# For all of them, on a machine that does much else.
RUN_SECONDS = 3000
RUNS = [f"first-{number}" for number in range(8)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One of its own."""
    with running_cluster(tmp_path) as made:
        yield made


def test_eight_first_runs_at_once(cluster: Cluster, environment: None) -> None:
    server = load_psycopg2().connect(cluster.stack.database_uri(TUNING))
    server.autocommit = True
    with server.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {METADATA} WITH (FORCE)")
    server.close()
    for run_id in RUNS:
        cluster.trigger(run_id, model_name="first", epochs=2, force=True)
    cluster.wait_for(
        lambda: not {"queued", "running"} & set(cluster.airflow.runs(DAG_ID).values()),
        "the end of all runs",
        RUN_SECONDS,
    )
    for run_id in RUNS:
        cluster.succeed(run_id)
        cluster.all_is_there_once(run_id, "first")
    found = look_at_database(Settings.from_environment().metadata)
    assert (found.lacking, found.doubled) == ([], [])
    assert {worker.host for worker in found.workers} == set(cluster.machines)
    assert open_registry().aliases("first")["champion"] in range(1, len(RUNS) + 1)
