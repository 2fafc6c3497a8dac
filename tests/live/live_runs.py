"""Runs of the training DAG in a stack: with which settings, and as whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.stack.environment import ADMIN, Stack

if TYPE_CHECKING:
    from conftest import LiveStack

DATASET = "s3://boxwright/datasets/live"
MODEL = "live-detector"
QUICK = {"model_id": "tiny", "epochs": 2, "image_size": 64, "gate_min_ap50": 0, "augmentation": "flip"}
SETTINGS = {
    "training": f"{DATASET}/training",
    "test": f"{DATASET}/test",
    "output": "s3://boxwright/runs",
    "model_name": MODEL,
    **QUICK,
}


def trigger(stack: LiveStack, run_id: str, **conf: Any) -> None:
    stack.airflow.trigger(DAG_ID, run_id, SETTINGS | conf)


def log_in(stack: Stack) -> dict[str, str]:
    """The cookie that Airflow's UI has after the log-in."""
    user = {"username": ADMIN, "password": stack.password}
    answer = httpx.post(f"{stack.airflow_url}/auth/token", json=user, trust_env=False)
    return {"_token": answer.json()["access_token"]}
