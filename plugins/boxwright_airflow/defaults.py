"""Defaults of all tasks of Boxwright's DAGs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any


def task_defaults() -> dict[str, Any]:
    """A DAG's `default_args`: what may heal is tried again, after a while that grows."""
    return {
        "owner": "boxwright",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
    }
