"""Lends a task's storage the credentials of an Airflow connection; they stay in this process and those it starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from boxwright.config import StorageConfig
from boxwright.errors import UsageError
from boxwright.storage import CONNECTION, EXTERNAL_ID, ROLE, environment


@contextmanager
def lent_credentials(config: StorageConfig) -> Iterator[None]:
    """The environment in which storage finds what the run's connection has, for as long as the block runs.

    Airflow masks a connection's secrets in task logs from the moment that it is looked up.

    Raises:
        UsageError: there is no such connection, or it is not of the type aws.
    """
    if config.connection is None:
        yield
        return
    with environment({CONNECTION: config.connection, **_variables(config.connection)}):
        yield


def _variables(name: str) -> dict[str, str]:
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection = BaseHook.get_connection(name)
    except AirflowNotFoundException:
        raise UsageError(
            f"storage_connection={name!r}: Airflow has no such connection; add it, of the type aws"
        ) from None
    if connection.conn_type != "aws":
        raise UsageError(f"storage_connection={name!r} is of the type {connection.conn_type}; expected aws")
    found: Any = AwsConnectionWrapper(conn=connection)
    values = {
        "AWS_ACCESS_KEY_ID": found.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": found.aws_secret_access_key,
        "AWS_SESSION_TOKEN": found.aws_session_token,
        "AWS_PROFILE": found.profile_name,
        "AWS_REGION": found.region_name,
        "AWS_DEFAULT_REGION": found.region_name,
        "AWS_ENDPOINT_URL": found.get_service_endpoint_url("s3"),
        ROLE: found.role_arn,
        EXTERNAL_ID: (found.assume_role_kwargs or {}).get("ExternalId"),
    }
    return {variable: str(value) for variable, value in values.items() if value}
