"""The store of ML Metadata: opened for each use, and again where its connection was lost.

ML Metadata's client never recovers a lost connection to PostgreSQL, and does not say why one cannot be made.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from boxwright.config import MetadataAddress
from boxwright.errors import BoxwrightError, StorageError, shorten
from boxwright.metadata import server
from boxwright.metadata.tls_relay import PORT as RELAY_PORT
from boxwright.metadata.tls_relay import relay_to

# Seconds to wait for a server that is restarted, or replaced by another.
PATIENCE = 90.0
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
# The beginning of its client's messages about PostgreSQL.
LOST = "PostgreSQL metadata source error"

Answer = TypeVar("Answer")


def connection_config(address: MetadataAddress) -> Any:
    """The configuration with which ML Metadata opens its store."""
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    if address.path is not None:
        config.sqlite.filename_uri = str(address.path)
        config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        return config
    for name, value in _without_tls(address).items():
        setattr(config.postgresql, name, value)
    config.postgresql.skip_db_creation = True
    return config


def _without_tls(address: MetadataAddress) -> dict[str, str]:
    """The parameters for ML Metadata's client, which was built without TLS: where it is used, those of a relay."""
    parameters = {name: value for name, value in address.server.items() if not name.startswith("ssl")}
    password = server.password_through_tls(address)
    if password is None:
        return parameters
    way = {"host": relay_to(address.server), "port": RELAY_PORT, "password": password}
    return {name: value for name, value in parameters.items() if name not in ("hostaddr", "passfile")} | way


def new_store(address: MetadataAddress) -> Any:
    """A store; it creates the tables that are missing.

    Raises:
        UsageError: the log-in, the database or an option is wrong.
        StorageError: the server cannot be reached.
        RuntimeError: what ML Metadata says of a SQLite file.
    """
    from ml_metadata import metadata_store

    # Its client reads them where its configuration has no name for them.
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(server.CONNECT_TIMEOUT))
    os.environ.setdefault("PGAPPNAME", "boxwright")
    # Once: adding it again changes nothing.
    logging.getLogger("absl").addFilter(_has_no_log_in)
    if address.path is not None:
        return metadata_store.MetadataStore(connection_config(address))
    from boxwright.metadata.escaping import EscapingStore

    try:
        return EscapingStore(connection_config(address))
    except RuntimeError as error:
        raise why(address) or StorageError(f"{address} of ML Metadata: {error}; run again") from None


def _has_no_log_in(record: logging.LogRecord) -> bool:
    """Drops ML Metadata's log line with its whole configuration, password included."""
    return "ConnectionConfig" not in str(record.msg)


def why(address: MetadataAddress) -> BoxwrightError | None:
    """The reason why a server cannot be used; None if it can."""
    try:
        server.connect(address).close()
    except BoxwrightError as error:
        return error
    return None


def open_store(address: MetadataAddress, patience: float | None = None) -> Any:
    """A store of a database that has its tables; a server that is away is waited for.

    Args:
        address: of the store.
        patience: seconds to wait; `PATIENCE` if unset.

    Raises:
        UsageError, StorageError, RuntimeError: see `new_store`.
    """
    deadline = time.monotonic() + (PATIENCE if patience is None else patience)
    wait = FIRST_WAIT
    while True:
        try:
            return new_store(address)
        except StorageError:
            if time.monotonic() + wait > deadline:
                raise
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


def ask(address: MetadataAddress, question: Callable[[Any], Answer], patience: float | None = None) -> Answer:
    """Asks a store, and asks a new one if the connection is lost meanwhile.

    Args:
        address: of the store.
        question: a function of a store; it may be called more than once.
        patience: as in `open_store`.
    """
    deadline = time.monotonic() + (PATIENCE if patience is None else patience)
    while True:
        store = open_store(address, patience)
        try:
            return question(store)
        except Exception as error:
            if address.path is not None or not is_lost(error) or time.monotonic() > deadline:
                raise
        time.sleep(FIRST_WAIT)


def is_lost(error: BaseException) -> bool:
    """Whether an error says that the connection to PostgreSQL is gone, or could not be used."""
    return LOST in str(error)


def server_said(error: BaseException) -> str:
    """What PostgreSQL said in an error of `is_lost`, in one short line."""
    return shorten(" ".join(str(error).rpartition(LOST)[2].split()).strip(": "), 120)
