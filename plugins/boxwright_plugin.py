"""Makes Boxwright known to Airflow."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class BoxwrightPlugin(AirflowPlugin):
    """Puts `plugins/` on Airflow's path, so that DAGs can import `boxwright_airflow`."""

    name = "boxwright"
