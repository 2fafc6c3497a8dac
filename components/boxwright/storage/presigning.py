"""Links to single objects, for browsers, which have no credentials."""

from __future__ import annotations

from boxwright.errors import UsageError
from boxwright.storage.connection import presigning_client
from boxwright.storage.location import parse_uri
from boxwright.storage.s3_errors import explained


def presigned(uri: str, seconds: int, save_as: str) -> str:
    """An address that lets whoever has it read one object for some time: as secret as a password.

    Args:
        uri: the object, `s3://bucket/key`.
        seconds: how long the address holds.
        save_as: file name that browsers save it under.

    Raises:
        UsageError: the URI is no object's, or there are no credentials to sign with.
    """
    location = parse_uri(uri)
    if location.bucket is None:
        raise UsageError(f"{uri} is a local file, to which there is no presigned link")
    asked = {
        "Bucket": location.bucket,
        "Key": location.key,
        "ResponseContentDisposition": f'attachment; filename="{save_as}"',
    }
    with explained(location):
        return str(presigning_client().generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds))
