"""Sets Airflow up before any test module imports it, and opens the pages as its users do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import airflow_env  # noqa: F401
import pytest


@pytest.fixture(scope="session")
def auth_manager(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Airflow's simple auth manager with log-in on, for a user of each role."""
    from airflow.api_fastapi.app import create_auth_manager, init_auth_manager
    from airflow.configuration import conf
    from airflow.utils.db import initdb

    initdb()
    conf.set("core", "simple_auth_manager_users", "viewer:viewer,editor:user,chief:admin")
    conf.set(
        "core", "simple_auth_manager_passwords_file", str(tmp_path_factory.mktemp("passwords") / "passwords.json")
    )
    conf.set("api_auth", "jwt_secret", "a secret of the tests that is long enough for its algorithm to be taken")
    manager = create_auth_manager()
    init_auth_manager()
    return manager


@pytest.fixture
def visit(auth_manager: Any) -> Iterator[Callable[..., Any]]:
    """Opens the pages as a user, or as nobody; the log-in is Airflow's cookie, as in a browser."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    from boxwright_airflow.pages.app import build

    roles = {"viewer": "viewer", "editor": "user", "chief": "admin"}

    def open_pages(user: str | None) -> TestClient:
        client = TestClient(build(), base_url="http://airflow.example", root_path="/boxwright")
        if user is not None:
            token = auth_manager.generate_jwt(SimpleAuthManagerUser(username=user, role=roles[user], teams=[]))
            client.cookies.set("_token", token)
        return client

    yield open_pages
