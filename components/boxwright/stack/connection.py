"""The Airflow that commands talk to: the local stack's, or one that the environment names."""

from __future__ import annotations

import os

from boxwright.airflow_api import AirflowClient
from boxwright.config import Settings
from boxwright.errors import UsageError, without_secrets
from boxwright.stack import manager
from boxwright.stack.environment import PASSWORD, URL, USER, find_stack


def find_airflow(settings: Settings) -> AirflowClient | None:
    """A client of the Airflow that the environment names, or of the local stack if it runs.

    Raises:
        UsageError: see `connect`.
    """
    return connect(settings) if os.environ.get(URL) or manager.is_running(settings) else None


def connect(settings: Settings) -> AirflowClient:
    """A client of the Airflow that the environment names, or of the local stack.

    Raises:
        UsageError: its address is not one of HTTP, or is set and the log-in is not.
    """
    url = os.environ.get(URL)
    if not url:
        return manager.client_of(find_stack(settings))
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{URL}={without_secrets(url)!a}: expected an address such as http://airflow:8080")
    if missing := [name for name in (USER, PASSWORD) if not os.environ.get(name)]:
        raise UsageError(f"{URL} is set, and {' and '.join(missing)} is not; set the log-in for that Airflow")
    return AirflowClient(url, os.environ[USER], os.environ[PASSWORD])
