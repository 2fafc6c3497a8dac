"""S3: boto3 for session, listing and metadata, obstore for bulk bytes; every failure becomes a typed error."""

from __future__ import annotations

import hashlib
import mimetypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from components.errors import BoxwrightError, DataError, StorageError, UsageError
from components.storage.entry import FileEntry, too_large
from components.storage.location import Location

if TYPE_CHECKING:
    import boto3
    from obstore.store import ClientConfig, S3Store

_CHUNK = 8 * 1024 * 1024
_MISSING = ("404", "NoSuchKey", "NoSuchBucket", "NotFound")
_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "301", "IllegalLocationConstraintException")
_BUSY = ("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequests")


def list_entries(location: Location) -> list[FileEntry]:
    """All objects below a prefix, folder markers left out."""
    prefix = f"{location.key}/" if location.key else ""
    entries = []
    with _explained(location):
        pages = _client().get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=prefix)
        for item in (item for page in pages for item in page.get("Contents", ())):
            if not item["Key"].endswith("/"):
                entries.append(FileEntry(item["Key"][len(prefix) :], item["Size"], item["ETag"].strip('"')))
    return entries


def head(location: Location) -> FileEntry:
    """The entry of one object; its key is the last part of the object's."""
    with _explained(location):
        found = _client().head_object(Bucket=location.bucket, Key=location.key)
    return FileEntry(location.key.rpartition("/")[2], found["ContentLength"], found["ETag"].strip('"'))


def exists(location: Location) -> bool:
    """Whether the object is there; a missing bucket is an error."""
    try:
        head(location)
    except DataError:
        return False
    return True


def read(location: Location, limit: int) -> bytes:
    """The bytes of an object of at most `limit` bytes."""
    with _explained(location):
        found = _client().get_object(Bucket=location.bucket, Key=location.key)
        with found["Body"] as body:
            if found["ContentLength"] > limit:
                raise too_large(str(location), found["ContentLength"], limit)
            data: bytes = body.read()
    return data


def fetch(location: Location, target: Path) -> None:
    """Writes an object's bytes to `target`."""
    import obstore

    with _explained(location), target.open("wb") as file:
        for chunk in obstore.get(_store(location.bucket or ""), location.key).stream(min_chunk_size=_CHUNK):
            file.write(chunk)


def is_copy(path: Path, entry: FileEntry) -> bool:
    """Whether `path` is an earlier, complete copy of `entry`: by size, and by content where the ETag is an MD5."""
    if path.stat().st_size != entry.size:
        return False
    if len(entry.etag) != 32 or "-" in entry.etag:  # uploaded in parts: not an MD5 of the content
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == entry.etag


def send(path: Path, location: Location) -> None:
    """Puts a file as an object, in parts where it is large; no reader ever sees half of it."""
    import obstore

    part_size = max(_CHUNK, path.stat().st_size // 9_000)  # S3 takes 10,000 parts at most
    kind, encoding = mimetypes.guess_type(location.key)
    # Browsers show a page only where its type is told, and offer to save it otherwise.
    attributes: Any = {"Content-Type": kind} if kind and not encoding else {}
    with _explained(location):
        obstore.put(_store(location.bucket or ""), location.key, path, chunk_size=part_size, attributes=attributes)


def _environment() -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


def _connection() -> tuple[boto3.Session, Any]:
    return _connect(_environment())


def _client() -> Any:
    return _connection()[1]


# Kept for as long as the environment is the same: a client takes a tenth of a second to make.
@lru_cache(maxsize=4)
def _connect(environment: tuple[tuple[str, str], ...]) -> tuple[boto3.Session, Any]:
    import boto3
    from botocore.config import Config

    session = boto3.Session()
    config = Config(
        retries={"total_max_attempts": 4, "mode": "standard"},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=20,
    )
    # Without a region, S3-compatible servers take the name of the first one.
    region = session.region_name or "us-east-1"
    return session, session.client("s3", config=config, region_name=region)


def _store(bucket: str) -> S3Store:
    return _open_store(bucket, _environment())


@lru_cache(maxsize=16)
def _open_store(bucket: str, environment: tuple[tuple[str, str], ...]) -> S3Store:
    from botocore.exceptions import NoCredentialsError
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store

    session, client = _connect(environment)
    if session.get_credentials() is None:
        raise NoCredentialsError
    endpoint: str = client.meta.endpoint_url
    # The client's own limit of 30 s for a whole body would cut large files; a stall is what must end.
    options: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": "5s",
        "read_timeout": "60s",
        "timeout": "1day",
    }
    if bundle := os.environ.get("AWS_CA_BUNDLE"):
        options["root_certificate"] = Path(bundle).read_bytes()
    return S3Store(
        bucket,
        endpoint=endpoint,
        region=client.meta.region_name,
        virtual_hosted_style_request=False,
        credential_provider=Boto3CredentialProvider(session),
        client_options=options,
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=90)},
    )


@contextmanager
def _explained(location: Location) -> Iterator[None]:
    import obstore.exceptions as bulk
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise _explain(error, location) from error
    except (bulk.BaseError, FileNotFoundError) as error:
        raise _diagnose(error, location) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageError(f"{location}: {reason} while transferring; run again") from error


def _diagnose(error: Exception, location: Location) -> BoxwrightError:
    """Finds out through boto3 why bulk transfer failed: its answers carry codes, the other's texts do not."""
    try:
        with _explained(location):
            _client().head_bucket(Bucket=location.bucket)
    except BoxwrightError as reason:
        return reason
    if isinstance(error, FileNotFoundError):
        return DataError(f"{location} does not exist; correct the URI or put the object there")
    if type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
        return _denied(location, type(error).__name__)
    return StorageError(f"{location}: transfer failed ({type(error).__name__}) at {_endpoint()}; run again")


def _explain(error: Any, location: Location) -> BoxwrightError:
    response = getattr(error, "response", None)
    if response is None:
        return _explain_no_answer(error, location)
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _MISSING or status == 404:
        return _explain_missing(error, code, location)
    if code in _REGION or status == 301:
        return UsageError(f"bucket {location.bucket} is not in this region; set AWS_REGION to the bucket's ({code})")
    if status >= 500 or status in (0, 408, 429) or code in _BUSY:
        return StorageError(f"{location}: {_endpoint()} answered {status or code}; run again later")
    if status in (401, 403):
        return _denied(location, code)
    return UsageError(
        f"{location}: {_endpoint()} refused {error.operation_name} ({code or status}); check URI and AWS_*"
    )


def _denied(location: Location, code: str) -> UsageError:
    return UsageError(
        f"{location}: access denied by {_endpoint()} ({code}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
        "AWS_ENDPOINT_URL and the rights of that identity"
    )


def _explain_missing(error: Any, code: str, location: Location) -> BoxwrightError:
    about_bucket = code == "NoSuchBucket" or error.operation_name in ("HeadBucket", "ListObjectsV2")
    if not about_bucket and code != "NoSuchKey":
        # A HEAD has no body to tell a missing bucket from a missing object.
        return _diagnose(FileNotFoundError(), location)
    if about_bucket:
        return UsageError(f"bucket {location.bucket} does not exist at {_endpoint()}; create it or correct {location}")
    return DataError(f"{location} does not exist; correct the URI or put the object there")


def _explain_no_answer(error: Any, location: Location) -> BoxwrightError:
    from botocore.exceptions import ConnectionError as NoConnection
    from botocore.exceptions import HTTPClientError, SSLError

    name = type(error).__name__
    if isinstance(error, SSLError):
        return UsageError(f"{location}: the certificate of {_endpoint()} is not trusted; set AWS_CA_BUNDLE")
    if isinstance(error, NoConnection | HTTPClientError) or name in ("IncompleteReadError", "ResponseStreamingError"):
        return StorageError(f"{location}: no answer from {_endpoint()} ({name}); is it up? Run again later")
    if "Credential" in name or "Token" in name or "SSO" in name:
        return UsageError(f"{location}: no usable credentials ({name}); set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY")
    return UsageError(f"{location}: S3 cannot be set up ({name}); check the URI and the AWS_* variables")


def _endpoint() -> str:
    try:
        parts = urlsplit(_client().meta.endpoint_url)
    except Exception:  # only for a message: the failure itself is already being reported
        return "the S3 endpoint"
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
