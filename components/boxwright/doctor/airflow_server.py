"""Airflow's servers, asked over HTTP: their health, the DAG, the pool of trainings."""

from __future__ import annotations

from collections.abc import Iterator

from boxwright.airflow_api import DAG_ID, AirflowClient
from boxwright.doctor.finding import Finding, doubtful, well, wrong
from boxwright.pipeline import GPU_POOL

PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


def look_at_airflow(client: AirflowClient) -> Iterator[Finding]:
    """The servers of an Airflow, by its API.

    Raises:
        UsageError, StorageError: it refuses the log-in, or does not answer.
    """
    health = client.request("GET", "/monitor/health")
    ill = [part for part in PARTS if (health.get(part) or {}).get("status") not in ("healthy", None)]
    if ill:
        yield wrong("Airflow", f"{', '.join(ill)} not healthy", "see its log; `make up` starts the local stack's anew")
    else:
        yield well("Airflow", "healthy")
    yield _dag(client)
    slots = gpu_slots(client)
    if slots is None:
        said = f"there is no pool {GPU_POOL}, so that fine_tune never starts"
        yield wrong("pool", said, f"airflow pools set {GPU_POOL} 1 trainings")
    else:
        yield well("pool", f"{GPU_POOL} has {slots} {'slot' if slots == 1 else 'slots'}")


def gpu_slots(client: AirflowClient) -> int | None:
    """The slots of the pool of trainings; None where there is none."""
    pools = client.request("GET", "/pools", params={"limit": 1000})["pools"]
    return next((int(pool["slots"]) for pool in pools if pool["name"] == GPU_POOL), None)


def _dag(client: AirflowClient) -> Finding:
    errors = client.request("GET", "/importErrors")["import_errors"]
    if errors:
        lines = errors[0]["stack_trace"].strip().splitlines() or ["no reason"]
        return wrong("DAGs", f"{errors[0]['filename']} cannot be imported: {lines[-1]}", "correct what it says")
    known = {dag["dag_id"] for dag in client.request("GET", "/dags", params={"limit": 1000})["dags"]}
    if DAG_ID not in known:
        return doubtful("DAGs", f"{DAG_ID} is not known yet", "wait half a minute; else see [core] dags_folder")
    return well("DAGs", f"{DAG_ID} is known")
