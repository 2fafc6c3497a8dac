"""The administrator's lists, as they hold for whoever starts a run in Airflow: what is not allowed is refused.

Starting a run means to act with the rights of the workers, so a list that is not set is closed here: to what the
administrator has configured for the workers and for the scheduled runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from airflow.sdk import Variable

from boxwright.airflow_api import VARIABLES
from boxwright.config import Limit, Settings
from boxwright.errors import UsageError
from boxwright.storage import ROLE, Allowed, environment, parse_uri


def allowed_here() -> Allowed:
    """The lists of the environment. Those that are not set have what the workers are configured with, and no more.

    Raises:
        UsageError: a Variable holds no URI.
    """
    return Allowed.from_environment(_configured())


@contextmanager
def limited() -> Iterator[None]:
    """Lets storage follow links only to where the lists allow, in this process and those that it starts."""
    with environment(allowed_here().environment()):
        yield


def _configured() -> Mapping[Limit, tuple[str, ...]]:
    uris = [_root(name, uri) for name in VARIABLES.values() if (uri := Variable.get(name, default=None))]
    return {
        Limit.URIS: (*uris, Settings.from_environment().weights_uri),
        Limit.ENDPOINTS: _set("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
        Limit.CONNECTIONS: (),
        Limit.ROLES: _set(ROLE),
    }


def _root(variable: str, uri: str) -> str:
    """The bucket, or the local folder above the first date, of a configured URI."""
    try:
        location = parse_uri(uri.partition("{")[0].rpartition("/")[0] if "{" in uri else uri)
    except UsageError as error:
        raise UsageError(f"the Airflow Variable {variable} is {uri!a}: {error}") from None
    return str(location) if location.bucket is None else f"s3://{location.bucket}"


def _set(*names: str) -> tuple[str, ...]:
    return tuple(value for name in names if (value := os.environ.get(name)))
