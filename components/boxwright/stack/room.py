"""The room that Airflow's pool of trainings has for a run that is to be started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boxwright.airflow_api import AirflowClient
from boxwright.errors import UsageError
from boxwright.pipeline import GPU_POOL, check_slots


def require_room(client: AirflowClient, params: Mapping[str, Any]) -> None:
    """Refuses a run whose machines would wait for each other in vain.

    Args:
        client: of the Airflow that would run it.
        params: of the run.

    Raises:
        UsageError: the pool has fewer slots than the training has machines.
        StorageError: Airflow does not answer.
    """
    machines = params.get("training_machines", 1)
    if machines == 1:
        return
    try:
        found = client.request("GET", "/pools", params={"limit": 1000})["pools"]
    except UsageError:
        return  # who may start runs may not be allowed to look at pools
    check_slots(int(machines), next((int(one["slots"]) for one in found if one["name"] == GPU_POOL), None))
