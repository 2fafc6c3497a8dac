"""Sets Airflow up before any test module imports it."""

import airflow_env  # noqa: F401
