"""The database of studies: opened, and its loss told as what it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import ArgumentError, OperationalError

from boxwright.errors import StorageError, UsageError, without_secrets
from boxwright.postgresql import load_psycopg2

_EXPECTED = "expected sqlite:////folder/tuning.sqlite or postgresql+psycopg2://USER:PASSWORD@HOST:5432/DATABASE"


@contextmanager
def database_errors() -> Iterator[None]:
    """Around what uses a study, for its database may go away at any time.

    Raises:
        StorageError: it did.
    """
    try:
        yield
    except StorageInternalError as error:
        raise StorageError(
            f"the database of studies no longer answers: {_first_line(error.__cause__ or error)}; start it and run "
            "again, and every trial goes on where it was"
        ) from error


def open_storage(uri: str) -> optuna.storages.RDBStorage:
    """Optuna's storage in a database.

    Raises:
        UsageError: the address is not one of a database, or its driver is not installed.
        StorageError: the database cannot be opened.
    """
    options = {"connect_args": {"timeout": 60}} if uri.startswith("sqlite") else {"pool_pre_ping": True}
    if uri.startswith("postgresql"):
        # The driver that is loaded here, whichever is SQLAlchemy's own choice.
        uri = uri.replace("postgresql://", "postgresql+psycopg2://", 1)
        load_psycopg2()
    try:
        return optuna.storages.RDBStorage(uri, engine_kwargs=options)
    except (ArgumentError, ModuleNotFoundError) as error:
        raise UsageError(f"BOXWRIGHT_TUNING_URI={without_secrets(uri)!a}: {_first_line(error)}; {_EXPECTED}") from None
    except OperationalError as error:
        raise StorageError(
            f"the database of studies at {without_secrets(uri)} cannot be opened: {_first_line(error.orig or error)}; "
            "start it, or correct BOXWRIGHT_TUNING_URI"
        ) from None


def _first_line(error: BaseException) -> str:
    return without_secrets((str(error).strip().splitlines() or [type(error).__name__])[0])
