"""Connections to S3: a boto3 session and client, and obstore's store over the same credentials.

Everything comes from the environment: boto3's standard chain (`AWS_*`, profiles, instance roles), and beside it
`AWS_REQUEST_PAYER`, `BOXWRIGHT_S3_ADDRESSING_STYLE`, `BOXWRIGHT_S3_ROLE_ARN` and `BOXWRIGHT_S3_EXTERNAL_ID`. So what a
run asks for reaches every process that it starts, and nothing secret is ever part of its configuration.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from boxwright.errors import UsageError

if TYPE_CHECKING:
    import boto3
    from obstore.store import ClientConfig, S3Store

    from boxwright.config import StorageConfig

CONNECTIONS = 24  # most of one transfer
STYLE, ROLE, EXTERNAL_ID = "BOXWRIGHT_S3_ADDRESSING_STYLE", "BOXWRIGHT_S3_ROLE_ARN", "BOXWRIGHT_S3_EXTERNAL_ID"
PAYER = "AWS_REQUEST_PAYER"
CONNECTION = "BOXWRIGHT_S3_CONNECTION"  # the Airflow connection that the other variables were taken from
# A request transfers some megabytes at most: what takes longer than this hangs.
REQUEST_SECONDS = 120
UPLOAD_SECONDS = 600
# What every S3 server's answer to a call has: one of these.
_ALWAYS_THERE = {
    "HeadObject": ("ETag",),
    "GetObject": ("ETag",),
    "ListObjectsV2": ("Name", "IsTruncated"),
    "ListObjectVersions": ("Name", "IsTruncated"),
}

Environment = tuple[tuple[str, str], ...]


@contextmanager
def connected(config: StorageConfig) -> Iterator[None]:
    """Storage as a run's settings ask for it, in this process and in those that it starts in the block.

    Raises:
        UsageError: the settings name an Airflow connection, and none has been resolved.
    """
    if config.connection != os.environ.get(CONNECTION):
        raise UsageError(
            f"storage_connection={config.connection!r} names a connection of Airflow's, which only its tasks can look "
            "up; outside of Airflow leave it unset and set AWS_*"
        )
    changes = {
        "AWS_ENDPOINT_URL": config.endpoint_url,
        "AWS_REGION": config.region,
        STYLE: config.addressing_style,
        PAYER: "requester" if config.requester_pays else None,
        ROLE: config.role_arn,
    }
    with environment({name: value for name, value in changes.items() if value}):
        yield


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for as long as the block runs."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def client() -> Any:
    """The boto3 client of the present environment."""
    return _connect(_environment())[1]


def presigning_client() -> Any:
    """A boto3 client that signs links with signature version 4: newer regions and many servers take no older one."""
    from botocore.config import Config

    session, ordinary = _connect(_environment())
    config = ordinary.meta.config.merge(Config(signature_version="s3v4"))
    return session.client("s3", config=config, region_name=ordinary.meta.region_name)


def store(bucket: str, seconds: int = REQUEST_SECONDS) -> S3Store:
    """The obstore store of a bucket; a request takes `seconds` at most."""
    return _open_store(bucket, seconds, _environment())


def endpoint() -> str:
    """The server's address for messages, without credentials."""
    try:
        parts = urlsplit(client().meta.endpoint_url)
    except Exception:  # only for a message: the failure itself is already being reported
        return "the S3 endpoint"
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def _environment() -> Environment:
    # As bytes, which costs a tenth: every request comes here.
    prefixes = (b"AWS_", b"BOXWRIGHT_S3_")
    found = [name for name in os.environb if name.startswith(prefixes)]
    return tuple(sorted((os.fsdecode(name), os.fsdecode(os.environb[name])) for name in found))


# Kept for as long as the environment is the same: a client takes a tenth of a second to make.
@lru_cache(maxsize=4)
def _connect(environment: Environment) -> tuple[boto3.Session, Any]:
    from botocore.config import Config

    session, wanted = _session(), dict(environment)
    if role := wanted.get(ROLE):
        session = _in_role(session, role, wanted.get(EXTERNAL_ID))
    style: Any = {"addressing_style": wanted[STYLE]} if STYLE in wanted else None
    config = Config(
        retries={"total_max_attempts": 4, "mode": "standard"},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=CONNECTIONS,
        s3=style,
    )
    found = session.client("s3", config=config, region_name=_region(session))
    if "@" in urlsplit(found.meta.endpoint_url).netloc:
        # Botocore writes the address into its log and its errors.
        raise UsageError(f"{found.meta.endpoint_url} has a log-in, which S3 does not use; credentials go into AWS_*")
    found.meta.events.register("after-call.s3", _require_an_answer)
    if PAYER in wanted:
        found.meta.events.register("before-call.s3", _let_requester_pay)
    return session, found


def _session(credentials: Any = None, region: str | None = None) -> boto3.Session:
    import boto3
    from botocore.session import get_session

    core: Any = get_session()
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_parse_timestamp)
    if credentials:
        core._credentials = credentials
    return boto3.Session(botocore_session=core, region_name=region)


def _parse_timestamp(value: Any) -> datetime:
    # Botocore's own takes two thirds of the time of a listing.
    from botocore.utils import parse_timestamp

    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        found: datetime = parse_timestamp(value)
        return found


def _region(session: boto3.Session) -> str:
    # The other AWS libraries' variable is not one of boto3's. Servers that know no regions take the first one's name.
    return os.environ.get("AWS_REGION") or session.region_name or "us-east-1"


def _require_an_answer(model: Any, parsed: dict[str, Any], http_response: Any, **_: Any) -> None:
    """Refuses what a proxy's log-in page or another program says in S3's place: to boto3 it is an empty answer."""
    from botocore.parsers import ResponseParserError

    wanted = _ALWAYS_THERE.get(model.name, ())
    if http_response.status_code == 200 and wanted and not any(name in parsed for name in wanted):
        raise ResponseParserError(f"{model.name} was answered without {' or '.join(wanted)}")


def _let_requester_pay(params: dict[str, Any], **_: Any) -> None:
    params["headers"]["x-amz-request-payer"] = "requester"


def _in_role(session: boto3.Session, role: str, external_id: str | None) -> boto3.Session:
    """A session with the role's credentials, which are renewed before they end."""
    from botocore.credentials import DeferredRefreshableCredentials, create_assume_role_refresher
    from botocore.parsers import ResponseParserError

    region = _region(session)
    params = {"RoleArn": role, "RoleSessionName": "boxwright"} | ({"ExternalId": external_id} if external_id else {})
    refresh = create_assume_role_refresher(session.client("sts", region_name=region), params)

    def refreshed() -> Any:
        try:
            return refresh()
        except KeyError as error:
            raise ResponseParserError(f"AssumeRole was answered without {error}") from None

    return _session(DeferredRefreshableCredentials(method="assume-role", refresh_using=refreshed), region)


@lru_cache(maxsize=16)
def _open_store(bucket: str, seconds: int, environment: Environment) -> S3Store:
    from botocore.exceptions import NoCredentialsError
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store

    session, found = _connect(environment)
    wanted = dict(environment)
    if session.get_credentials() is None:
        raise NoCredentialsError
    address: str = found.meta.endpoint_url
    virtual = wanted.get(STYLE) == "virtual"
    if virtual:
        parts = urlsplit(address)
        address = f"{parts.scheme}://{bucket}.{parts.netloc}"
    options: ClientConfig = {
        "allow_http": address.startswith("http://"),
        "connect_timeout": "5s",
        "read_timeout": "60s",
        "timeout": f"{seconds}s",
        "pool_max_idle_per_host": str(CONNECTIONS),
    }
    if bundle := wanted.get("AWS_CA_BUNDLE"):
        options["root_certificate"] = Path(bundle).read_bytes()
    return S3Store(
        bucket,
        endpoint=address,
        region=found.meta.region_name,
        virtual_hosted_style_request=virtual,
        request_payer=PAYER in wanted,
        credential_provider=Boto3CredentialProvider(session, ttl=timedelta(minutes=5)),
        client_options=options,
        # `boxwright.storage.retry` counts, spreads and bounds the further attempts of a whole transfer.
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=seconds)},
    )
