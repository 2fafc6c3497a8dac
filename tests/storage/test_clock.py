"""A clock that is set back an hour: it is named where a server minds, and nothing else goes by it."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from seaweed import Seaweed

from boxwright.errors import StorageError
from boxwright.registry.training_state import is_silent
from boxwright.storage import list_files, s3_errors
from boxwright.storage.cache import Cache, Content

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("by", "said"), [(-HOUR, "60 minutes behind"), (HOUR, "60 minutes ahead of")])
def test_a_clock_that_the_server_does_not_believe_is_named(
    s3: Seaweed, monkeypatch: pytest.MonkeyPatch, by: timedelta, said: str
) -> None:
    import botocore.auth

    uri = s3.make_bucket(f"clock-{uuid.uuid4().hex}")
    for module, name in ((botocore.auth, "get_current_datetime"), (s3_errors, "_now")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, real=real: real(*given) + by)
    with pytest.raises(StorageError, match=f"its clock is {said} the server's; set it, then run again") as caught:
        list_files(uri)
    assert caught.value.exit_code == 4


def test_a_key_that_is_wrong_is_still_called_so(s3: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = s3.make_bucket(f"clock-{uuid.uuid4().hex}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-one")
    with pytest.raises(Exception, match="access denied"):
        list_files(uri)


def test_what_was_used_last_stays_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def content(name: str) -> Content:
        path = tmp_path / name
        path.write_bytes(b"x" * 100)
        return Content(f"md5-{name * 32}", path)

    cache = Cache(tmp_path / "cache", 200)
    cache.add([content("a"), content("b")])
    back: Any = time.time() - HOUR.total_seconds()
    monkeypatch.setattr(time, "time", lambda: back)
    cache.touch([f"md5-{'a' * 32}"])
    cache.add([content("c")])
    cache.trim()
    assert [name for name in "abc" if cache.find(f"md5-{name * 32}")] == ["a", "c"]


def test_a_sign_of_the_future_is_no_silence() -> None:
    now = time.time()
    assert not is_silent({"at": now + HOUR.total_seconds()}, now)
    assert is_silent({"at": now - HOUR.total_seconds()}, now) and is_silent({"at": "soon"}, now)
