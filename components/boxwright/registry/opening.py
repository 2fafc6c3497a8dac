"""The model registries by the scheme of the tracking URI: the one place that lists them."""

from __future__ import annotations

import os
from collections.abc import Callable
from urllib.parse import urlsplit

from boxwright.config import Settings
from boxwright.errors import UsageError
from boxwright.registry.mlflow_client import no_address
from boxwright.registry.port import Registry

QUICK_LOCK_SECONDS = 20.0
# How MLflow's own client may have to ask for entry, and only it can.
_ONLY_BY_LIBRARY = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4")


def open_registry(tracking_uri: str | None = None, quick: bool = False) -> Registry:
    """The registry behind a tracking URI; what it costs to load is paid with the first call.

    Args:
        tracking_uri: address of a server, or a store that MLflow opens itself; `MLFLOW_TRACKING_URI`, or the store in
            the home of `Settings`, if unset.
        quick: for a process that others wait for: only what loads at once, and nothing is waited for longer than
            seconds.

    Raises:
        UsageError: it is not an address; or `quick` is set, and the registry has no quick client.
    """
    uri = tracking_uri or Settings.from_environment().tracking_uri
    try:
        scheme = urlsplit(uri).scheme
    except ValueError:
        raise no_address() from None
    return _REGISTRIES.get(scheme, _mlflow_library)(uri, quick)


def _mlflow_server(uri: str, quick: bool) -> Registry:
    from boxwright.registry.mlflow_registry import MlflowRegistry
    from boxwright.registry.rest import RestClient
    from boxwright.registry.writer_lock import LOCK_SECONDS, WriterLock

    if not quick and any(os.environ.get(name, "").lower() not in ("", "false", "0") for name in _ONLY_BY_LIBRARY):
        return _mlflow_library(uri, quick)
    return MlflowRegistry(RestClient(uri, quick), WriterLock(uri, QUICK_LOCK_SECONDS if quick else LOCK_SECONDS))


def _mlflow_library(uri: str, quick: bool) -> Registry:
    from boxwright.registry.mlflow_library import LibraryClient
    from boxwright.registry.mlflow_registry import MlflowRegistry
    from boxwright.registry.writer_lock import WriterLock

    if quick:
        raise UsageError(
            f"the registry is opened as {uri.partition(':')[0]}:, which these pages cannot read; start an MLflow "
            "server over it and set MLFLOW_TRACKING_URI to its address (`boxwright up` does both)"
        )
    lock = WriterLock(uri)
    return MlflowRegistry(LibraryClient(uri, lock), lock)


# By the scheme of the tracking URI; any other is left to MLflow's own client.
_REGISTRIES: dict[str, Callable[[str, bool], Registry]] = {"http": _mlflow_server, "https": _mlflow_server}
