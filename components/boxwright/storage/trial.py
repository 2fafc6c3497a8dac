"""A bucket tried out: whether what a run does to it can be done, and what its server's clock says."""

from __future__ import annotations

import time
import uuid
from email.utils import parsedate_to_datetime

from boxwright.errors import StorageError
from boxwright.storage.connection import client
from boxwright.storage.location import parse_uri
from boxwright.storage.s3_errors import explained

_BYTES = b"boxwright doctor"


def try_bucket(uri: str) -> float:
    """Writes an object below an `s3://` prefix, reads it, writes it again on the condition that it is new, removes it.

    Returns:
        Seconds by which the server's clock is ahead of this machine's.

    Raises:
        UsageError: it may not be read or written, or there is no such bucket.
        StorageError: the server does not answer, or does not keep what it was given, or ignores the condition.
    """
    location = parse_uri(uri).child(f"doctor-{uuid.uuid4().hex}")
    place = {"Bucket": location.bucket, "Key": location.key}
    with explained(location):
        s3 = client()
        began = time.time()
        answer = s3.put_object(**place, Body=_BYTES)
        clock = _clock(answer, (began + time.time()) / 2)
        try:
            if s3.get_object(**place)["Body"].read() != _BYTES:
                raise StorageError(f"{uri}: what was written does not come back as it was")
            _refuse_overwriting(uri, place)
        finally:
            s3.delete_object(**place)
    return clock


def _refuse_overwriting(uri: str, place: dict[str, str | None]) -> None:
    from botocore.exceptions import ClientError

    try:
        client().put_object(**place, Body=b"", IfNoneMatch="*")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412):
            return
        raise
    raise StorageError(
        f"{uri}: the server overwrites an object though it was told to write only a new one (If-None-Match); two runs "
        "could take each other's place: use a version of it that heeds the condition"
    )


def _clock(answer: dict[str, object], now: float) -> float:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})  # type: ignore[attr-defined]
    told = headers.get("date")
    return parsedate_to_datetime(told).timestamp() - now if told else 0.0
