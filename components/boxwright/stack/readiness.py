"""The readiness of the stack's services: whether each does its work, beyond accepting connections."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx

from boxwright.stack.database import answers
from boxwright.stack.environment import ADMIN, BUCKET, REGION, Stack
from boxwright.stack.processes import ProcessTable


def postgres_ready(stack: Stack) -> bool:
    """Whether PostgreSQL takes the stack's log-in."""
    return answers(stack.ports["postgres"], stack.secrets["postgres_password"])


def s3_ready(stack: Stack) -> bool:
    """Whether S3 takes an object and gives it back: SeaweedFS reports itself healthy before it can store one."""
    from botocore.exceptions import BotoCoreError, ClientError

    probe = {"Bucket": BUCKET, "Key": "health/probe"}
    try:
        client = _s3(stack)
        _create_bucket(client)
        client.put_object(**probe, Body=b"ready")
        return bool(client.get_object(**probe)["Body"].read() == b"ready")
    except (BotoCoreError, ClientError):
        return False


def _create_bucket(client: Any) -> None:
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)


def mlflow_ready(stack: Stack) -> bool:
    """Whether MLflow answers the stack's log-in: without the database of its runs it reports itself healthy, too."""
    login = (ADMIN, stack.secrets["mlflow_password"])
    return _get(f"{stack.mlflow_url}/api/2.0/mlflow/experiments/get?experiment_id=0", login) is not None


def api_ready(stack: Stack) -> bool:
    """Whether the API server answers, and reaches its database."""
    answer = _get(f"{stack.airflow_url}/api/v2/monitor/health")
    return answer is not None and answer.json()["metadatabase"]["status"] == "healthy"


def part_ready(part: str) -> Callable[[Stack], bool]:
    """Whether another part of Airflow is healthy: they report by heartbeats, which the API server reads."""
    key = part.replace("-", "_")

    def ready(stack: Stack) -> bool:
        answer = _get(f"{stack.airflow_url}/api/v2/monitor/health")
        health = (answer.json().get(key) or {}) if answer is not None else {}
        process = ProcessTable(stack.folder).find(part)
        if health.get("status") != "healthy" or process is None:
            return False
        # For half a minute after a restart, the heartbeat of the process before still counts as healthy.
        heartbeat = datetime.fromisoformat(health[f"latest_{key}_heartbeat"])
        return bool(heartbeat.timestamp() > process.create_time())

    return ready


def _get(url: str, login: tuple[str, str] | None = None) -> httpx.Response | None:
    try:
        answer = httpx.get(url, auth=login, timeout=5, trust_env=False)
    except httpx.HTTPError:
        return None
    return answer if answer.is_success else None


def _s3(stack: Stack) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=stack.s3_url,
        region_name=REGION,
        aws_access_key_id=stack.secrets["s3_access_key"],
        aws_secret_access_key=stack.secrets["s3_secret_key"],
        config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}, proxies={}),
    )
