"""Why S3 did not do what was asked, as typed errors that say what to do and never hold a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from boxwright.errors import BoxwrightError, DataError, StorageError, UsageError
from boxwright.storage.connection import client, endpoint
from boxwright.storage.file_entry import ChangedError
from boxwright.storage.location import Location

_MISSING = ("404", "NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NotFound")
_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "301", "IllegalLocationConstraintException")
_BUSY = ("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequests")
_SKEW = 5 * 60  # seconds; S3 refuses signatures that are 15 minutes off, others sooner
_STATUS = re.compile(r"status code: (\d{3})")


@contextmanager
def explained(location: Location) -> Iterator[None]:
    """Turns what boto3 and obstore raise in the block into typed errors about `location`."""
    import obstore.exceptions as bulk
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ResponseParserError as error:
        raise StorageError(
            f"{location}: {endpoint()} answered with something else than S3 does; is it S3, and not a proxy or a "
            "log-in page in its place? Correct AWS_ENDPOINT_URL, then run again"
        ) from error
    except (ClientError, BotoCoreError) as error:
        raise _explain(error, location) from error
    except (bulk.BaseError, FileNotFoundError) as error:
        raise _explain_bulk(error, location) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageError(f"{location}: {reason} while transferring; run again") from error


def _explain_bulk(error: Exception, location: Location) -> BoxwrightError:
    if type(error).__name__ == "PreconditionError":
        return ChangedError(str(location))
    status = _STATUS.search(str(error))
    if status and _may_heal(int(status[1])):
        return StorageError(f"{location}: {endpoint()} answered {status[1]}; run again later")
    if type(error).__name__ == "GenericError" and not status and "certificate" not in str(error):
        return StorageError(f"{location}: no answer, or half of one, from {endpoint()}; is it up? Run again later")
    return _diagnose(error, location)


def _may_heal(status: int) -> bool:
    return status >= 500 or status in (0, 408, 429)


def _diagnose(error: Exception, location: Location) -> BoxwrightError:
    """Finds out through boto3 why bulk transfer failed: its answers carry codes, the other's texts do not."""
    try:
        with explained(location):
            client().head_bucket(Bucket=location.bucket)
    except BoxwrightError as reason:
        return reason
    if isinstance(error, FileNotFoundError):
        return DataError(f"{location} does not exist; correct the URI or put the object there")
    if type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
        return _denied(location, type(error).__name__)
    return StorageError(f"{location}: transfer failed ({type(error).__name__}) at {endpoint()}; run again")


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
    if _may_heal(status) or code in _BUSY:
        return StorageError(f"{location}: {endpoint()} answered {status or code}; run again later")
    if status in (401, 403):
        return _wrong_clock(response, location) or _denied(location, code)
    return UsageError(
        f"{location}: {endpoint()} refused {error.operation_name} ({code or status}); check URI and AWS_*"
    )


def _wrong_clock(response: Any, location: Location) -> StorageError | None:
    """The error for a clock that is off: signatures of another time are refused, by some servers without a word."""
    told = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        seconds = (parsedate_to_datetime(told) - _now()).total_seconds()
    except (TypeError, ValueError):
        return None
    if abs(seconds) < _SKEW:
        return None
    return StorageError(
        f"{location}: {endpoint()} refuses what this machine signs: its clock is {abs(seconds) / 60:.0f} minutes "
        f"{'behind' if seconds > 0 else 'ahead of'} the server's; set it, then run again"
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _denied(location: Location, code: str) -> UsageError:
    return UsageError(
        f"{location}: access denied by {endpoint()} ({code}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
        "AWS_ENDPOINT_URL and the rights of that identity"
    )


def _explain_missing(error: Any, code: str, location: Location) -> BoxwrightError:
    about_bucket = code == "NoSuchBucket" or error.operation_name in ("HeadBucket", "ListObjectsV2")
    if not about_bucket and code != "NoSuchKey":
        # A HEAD has no body to tell a missing bucket from a missing object.
        return _diagnose(FileNotFoundError(), location)
    if about_bucket:
        return UsageError(f"bucket {location.bucket} does not exist at {endpoint()}; create it or correct {location}")
    return DataError(f"{location} does not exist; correct the URI or put the object there")


def _explain_no_answer(error: Any, location: Location) -> BoxwrightError:
    from botocore.exceptions import ConnectionError as NoConnection
    from botocore.exceptions import HTTPClientError, SSLError

    name = type(error).__name__
    if isinstance(error, SSLError):
        return UsageError(f"{location}: the certificate of {endpoint()} is not trusted; set AWS_CA_BUNDLE")
    if isinstance(error, NoConnection | HTTPClientError) or name in ("IncompleteReadError", "ResponseStreamingError"):
        return StorageError(f"{location}: no answer from {endpoint()} ({name}); is it up? Run again later")
    if "Credential" in name or "Token" in name or "SSO" in name:
        return UsageError(f"{location}: no usable credentials ({name}); set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY")
    return UsageError(f"{location}: S3 cannot be set up ({name}); check the URI and the AWS_* variables")
