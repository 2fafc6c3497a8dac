"""Calls of MLflow's REST API: who asks, what is tried again, and what a server's failures become."""

from __future__ import annotations

import configparser
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from boxwright.errors import BoxwrightError, StorageError, UsageError, without_secrets
from boxwright.registry.mlflow_client import failure_kind, no_address

# For a process that others wait for, and for a task, which has time.
QUICK_SECONDS, SECONDS = 10.0, 30.0
RETRIES = 2
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_API = "/api/2.0"


class MlflowHttp:
    """The REST API of one MLflow server.

    Every method raises StorageError where the server does not answer, and UsageError where it refuses.

    Args:
        tracking_uri: address of the server; user and password may be part of it, or are `MLFLOW_TRACKING_USERNAME` and
            `MLFLOW_TRACKING_PASSWORD`, or `MLFLOW_TRACKING_TOKEN`, as for MLflow's own client.
        quick: for a process that others wait for: 10 s at most, and nothing is tried again.
        transport: other than the network, for tests.
    """

    def __init__(self, tracking_uri: str, quick: bool = False, transport: httpx.BaseTransport | None = None) -> None:
        self._uri, self._quick, self._transport = tracking_uri.rstrip("/"), quick, transport

    @property
    def shown(self) -> str:
        """The server's address without a password."""
        return without_secrets(self._uri)

    @cached_property
    def _http(self) -> httpx.Client:
        address = _address(self._uri)
        return httpx.Client(
            # Without the log-in: httpx writes the address of every request into the log.
            base_url=address.copy_with(userinfo=b""),
            timeout=QUICK_SECONDS if self._quick else _setting("MLFLOW_HTTP_REQUEST_TIMEOUT", SECONDS),
            transport=self._transport,
            verify=_trust(),
            **_identity(address),
        )

    def get(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Reads."""
        return self.ask("GET", f"mlflow/{path}", params=dict(asked))

    def post(self, path: str, values: Mapping[str, Any], again: bool = True) -> dict[str, Any]:
        """Writes.

        Args:
            path: of the call.
            values: its arguments.
            again: False where a call must not be made twice, because it makes something.
        """
        return self.ask("POST", f"mlflow/{path}", again, json=dict(values))

    def pages(self, path: str, key: str, asked: Mapping[str, Any]) -> Iterator[list[Any]]:
        """Reads a list of any length; `key` is its name in each answer."""
        token = None
        while True:
            found = self.get(path, {**asked, **({"page_token": token} if token else {})})
            yield list(found.get(key, ()))
            token = found.get("next_page_token")
            if not token:
                return

    def ask(self, method: str, path: str, again: bool = True, **given: Any) -> dict[str, Any]:
        """Calls the API until it answers or the tries are used up; `given` is what httpx takes."""
        retries = 0 if self._quick else int(_setting("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES))
        for attempt in range(retries + 1):
            last = attempt == retries
            try:
                answer = self._http.request(method, f"{_API}/{path}", **given)
                if last or not again or answer.status_code not in _TRANSIENT:
                    return self._read(answer)
            except httpx.HTTPError as error:
                # What found no connection was not done; anything else may have been.
                if last or not (again or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)):
                    raise self._silence(error) from None
            time.sleep(_setting("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", 1.0) * 2**attempt)
        raise AssertionError("the last try returns or raises")

    def _read(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            found = answer.json() if answer.content else {}
        except ValueError as error:
            raise self._silence(error) from None
        if answer.is_success and isinstance(found, dict):
            return found
        raise self._failure(answer, found if isinstance(found, dict) else {})

    def _silence(self, error: Exception) -> StorageError:
        return StorageError(
            f"the model registry {self.shown} did not answer as it should ({type(error).__name__}); start MLflow, or "
            "correct MLFLOW_TRACKING_URI, then try again"
        )

    def _failure(self, answer: httpx.Response, found: Mapping[str, Any]) -> BoxwrightError:
        said = str(found.get("message", ""))[:300] or answer.reason_phrase
        otherwise = StorageError if answer.status_code in _TRANSIENT else UsageError
        kind = failure_kind(str(found.get("error_code", "")), otherwise)
        text = f"the model registry {self.shown} answered {answer.status_code}: {said}"
        return kind(f"{text}; try again, and look at MLflow's log if it goes on" if kind is StorageError else text)


def _setting(name: str, default: float) -> float:
    """A number that MLflow's own client reads from the environment too."""
    try:
        return float(os.environ.get(name) or default)
    except ValueError:
        raise UsageError(f"{name}={os.environ[name]!a}: expected a number") from None


def _address(uri: str) -> httpx.URL:
    try:
        return httpx.URL(uri)
    except httpx.InvalidURL:
        raise no_address() from None


def _identity(address: httpx.URL) -> dict[str, Any]:
    """The credentials for httpx: from the environment, MLflow's file of credentials, or the address itself."""
    environment, written = os.environ, _written_credentials()
    user = environment.get("MLFLOW_TRACKING_USERNAME") or written.get("mlflow_tracking_username")
    password = environment.get("MLFLOW_TRACKING_PASSWORD") or written.get("mlflow_tracking_password", "")
    token, workspace = environment.get("MLFLOW_TRACKING_TOKEN"), environment.get("MLFLOW_WORKSPACE")
    headers = {"Authorization": f"Bearer {token}"} if token and not user else {}
    if not user:
        user, password = address.username, address.password
    return {
        "auth": (user, password) if user else None,
        "headers": headers | ({"X-MLFLOW-WORKSPACE": workspace} if workspace else {}),
    }


def _written_credentials() -> Mapping[str, str]:
    found = configparser.ConfigParser(interpolation=None)
    try:
        found.read(Path("~/.mlflow/credentials").expanduser())
    except (configparser.Error, OSError, RuntimeError, UnicodeDecodeError):
        return {}
    return found["mlflow"] if "mlflow" in found else {}


def _trust() -> ssl.SSLContext | bool:
    """Whom to trust, and the certificate to show, as MLflow's own client does."""
    environment = os.environ
    if environment.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    authority, own = (environment.get(f"MLFLOW_TRACKING_{name}_CERT_PATH") for name in ("SERVER", "CLIENT"))
    if not authority and not own:
        return True
    try:
        context = ssl.create_default_context(cafile=authority)
        if own:
            context.load_cert_chain(own)
    except OSError as error:
        raise UsageError(f"MLFLOW_TRACKING_SERVER_CERT_PATH, _CLIENT_CERT_PATH: {error}") from None
    return context
