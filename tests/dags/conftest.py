"""Sets Airflow up before any test module imports it."""

import airflow_env  # noqa: F401
import pytest


@pytest.fixture(autouse=True)
def _open_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allows runs to name any folder and connection; `test_airflow_allowed.py` has what holds without that."""
    for name in ("URIS", "ENDPOINTS", "CONNECTIONS", "ROLES"):
        monkeypatch.setenv(f"BOXWRIGHT_ALLOWED_{name}", "*")
