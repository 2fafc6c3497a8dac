"""Sets Airflow up before any test module imports it, and opens the pages as its users do."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import airflow_env  # noqa: F401
import pytest
from made_versions import ORIGIN, register_version
from measured_formats import KEPT

ROLES = {"viewer": "viewer", "editor": "user", "chief": "admin"}
# What Airflow's UI puts around a page of the navigation.
FRAME = """<!doctype html><html lang="en"><head><title>Airflow</title><link rel="icon" href="data:,"></head>
<body><h1>Airflow</h1>
<iframe src="{src}" title="Models" sandbox="allow-scripts allow-same-origin allow-forms allow-downloads"
 width="1200" height="900"></iframe></body></html>"""


@pytest.fixture(autouse=True)
def _allowed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The administrator of the tests' pages allows what tests write."""
    monkeypatch.setenv("BOXWRIGHT_ALLOWED_URIS", str(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="session")
def auth_manager(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Airflow's simple auth manager with log-in on, for a user of each role."""
    from airflow.api_fastapi.app import create_auth_manager, init_auth_manager
    from airflow.configuration import conf
    from airflow.utils.db import initdb

    initdb()
    conf.set("core", "simple_auth_manager_users", ",".join(f"{user}:{role}" for user, role in ROLES.items()))
    conf.set("core", "simple_auth_manager_passwords_file", str(tmp_path_factory.mktemp("login") / "passwords.json"))
    conf.set("api_auth", "jwt_secret", "a secret of the tests that is long enough for its algorithm to be taken")
    manager = create_auth_manager()
    init_auth_manager()
    return manager


@pytest.fixture
def visit(auth_manager: Any) -> Callable[[str | None], Any]:
    """Opens the pages as a user, or as nobody; the log-in is Airflow's cookie, as in a browser."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    from boxwright_airflow.pages.app import build

    def open_pages(user: str | None) -> TestClient:
        client = TestClient(build(), base_url=ORIGIN, root_path="/boxwright", raise_server_exceptions=False)
        if user is not None:
            token = auth_manager.generate_jwt(SimpleAuthManagerUser(username=user, role=ROLES[user], teams=[]))
            client.cookies.set("_token", token)
        return client

    return open_pages


@pytest.fixture
def registry(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A registry of the test's own, which the pages read through MLflow's real server, without a network between."""
    import shutil

    import httpx
    from mlflow.server import app, handlers
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    from boxwright.registry.mlflow_registry import MlflowRegistry
    from boxwright.registry.opening import open_registry
    from boxwright.registry.rest import RestClient
    from boxwright.registry.writer_lock import WriterLock
    from boxwright_airflow.pages.app import build
    from boxwright_airflow.pages.registered_models import RegisteredModels, open_registered

    uri = f"sqlite:///{shutil.copyfile(empty_store, tmp_path / 'mlflow.sqlite')}"
    monkeypatch.setattr(handlers, "_model_registry_store", SqlAlchemyStore(uri))
    address = "http://localhost:5000"
    client = RestClient(address, transport=httpx.WSGITransport(app=app))
    opened = RegisteredModels(MlflowRegistry(client, WriterLock(uri)))
    monkeypatch.setitem(build().dependency_overrides, open_registered, lambda: opened)
    return open_registry(uri)


@pytest.fixture
def make_version(registry: Any, tmp_path: Path) -> Callable[..., Any]:
    """Registers a version as a run does, with the results of the run in a folder."""
    return partial(register_version, registry, tmp_path)


@pytest.fixture(autouse=True)
def _open_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allows runs to name any folder and connection; `test_airflow_allowed.py` has what holds without that."""
    for name in ("URIS", "ENDPOINTS", "CONNECTIONS", "ROLES"):
        monkeypatch.setenv(f"BOXWRIGHT_ALLOWED_{name}", "*")


@pytest.fixture
def server(visit: Callable[..., Any], make_version: Callable[..., Any]) -> Iterator[str]:
    """The pages on a port, below `/boxwright` as Airflow mounts them, with three versions."""
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse

    from boxwright_airflow.pages.app import build

    make_version("run-1", "2026-03-01", 0.4)
    make_version("run-2", "2026-03-02", 0.5, parent="models:/detector/1")
    released = {"name": KEPT.name, "ap_difference": -0.002, "ms": 14.3, "mb": 3.6}
    make_version("run-3", "2026-03-03", 0.3, parent="models:/detector/2", formats=(released,))
    airflow = FastAPI()

    @airflow.get("/frame")
    def frame(src: str) -> HTMLResponse:
        return HTMLResponse(FRAME.format(src=src))

    @airflow.get("/dags/{rest:path}")
    def outer(rest: str) -> HTMLResponse:
        return HTMLResponse("<!doctype html><link rel='icon' href='data:,'><title>A run in Airflow</title>")

    airflow.mount("/boxwright", build())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = uvicorn.Server(uvicorn.Config(airflow, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join()


@pytest.fixture
def open_tab(browser: Any, server: str, visit: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Opens tabs of an editor who is logged in; what the consoles say of errors is collected."""
    contexts = []

    def open_tab(**options: Any) -> tuple[Any, list[str]]:
        context = browser.new_context(**options)
        contexts.append(context)
        token = visit("editor").cookies["_token"]
        context.add_cookies([{"name": "_token", "value": token, "url": server, "httpOnly": True}])
        tab, said = context.new_page(), []
        tab.on("console", lambda line: said.append(f"{line.text} {line.location}") if line.type == "error" else None)
        tab.on("pageerror", lambda error: said.append(str(error)))
        return tab, said

    yield open_tab
    for context in contexts:
        context.close()
