from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxwright.errors import UsageError
from boxwright.storage import join, parse_uri, unsafe_key


@pytest.mark.parametrize(
    ("uri", "bucket", "key"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://bucket/a/b/", "bucket", "a/b"),
        ("S3://bucket/a b#c?d%41", "bucket", "a b#c?d%41"),
        ("file:///data/my%20set", None, "/data/my set"),
        ("file://localhost/data", None, "/data"),
        ("/data/set/", None, "/data/set"),
    ],
)
def test_parse(uri: str, bucket: str | None, key: str) -> None:
    location = parse_uri(uri)
    assert (location.bucket, location.key) == (bucket, key)


def test_relative_path_starts_at_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_uri("data/set").path == tmp_path / "data" / "set"


@pytest.mark.parametrize(
    "uri",
    ["", " ", "gs://bucket/a", "http://host/a", "s3://", "s3:///a", "s3://b/../c", "s3://bucket/a/../b", "s3://bucket/a//b",
     "s3://bucket/a\nb", "file://host/a", "file:///a%00b", "/a\0b", "s3://-bucket/a", "s3://key id/a"],
)  # fmt: skip
def test_what_is_not_a_uri_is_refused_in_one_line(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_uri(uri)
    assert "\n" not in str(caught.value)


def test_credentials_in_a_uri_are_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        parse_uri("s3://AKIA:hunter2@bucket/prefix")
    assert "hunter2" not in str(caught.value) and "AKIA" not in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "../a",
        "a/../b",
        "a/..",
        ".",
        "./a",
        "a//b",
        "a/",
        "a\\..\\b",
        "a\nb",
        "a\0",
        "a\x7f",
        "\ud800",
        "x" * 256,
    ],
)
def test_unsafe_keys(key: str) -> None:
    assert unsafe_key(key)
    with pytest.raises(UsageError):
        parse_uri("/data").child(key)


@pytest.mark.parametrize("key", ["a.jpg", "sub/a.jpg", "..a", "a..b/c", "naïve Bild (1)#%2e%2e.png", "图.jpg"])
def test_safe_keys(key: str) -> None:
    assert unsafe_key(key) is None


@given(st.text(st.sampled_from("./\\ab\n\0"), max_size=8))
def test_a_key_that_passes_stays_below_its_folder(key: str) -> None:
    if unsafe_key(key) is None:
        assert Path("/root/folder", key).resolve().is_relative_to("/root/folder")
        assert join("s3://bucket/p", key) == f"s3://bucket/p/{key}"


def test_join() -> None:
    assert join("s3://bucket", "images/", "a.jpg") == "s3://bucket/images/a.jpg"
    assert join("s3://bucket/p/", "a.jpg") == "s3://bucket/p/a.jpg"
    assert join("/data/", "a.jpg") == "/data/a.jpg"
    assert parse_uri(join("file:///my%20set", "a%20b.jpg")).key == "/my set/a%20b.jpg"
    with pytest.raises(UsageError):
        join("/data", "/etc/passwd")


def test_a_message_stays_on_one_line() -> None:
    # Found by a fuzzer: lines of a log could be forged with the name of a machine.
    with pytest.raises(UsageError, match=r"file://a\\nb/... names another machine"):
        parse_uri("file://a\nb/c")
