from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from boxwright.config import parse_config
from boxwright.config.run_info import RunInfo
from boxwright.config.uri_dates import resolve_templates
from boxwright.errors import UsageError

WEEK = RunInfo(
    run_id="scheduled__w",
    interval_start=datetime(2026, 3, 2, 3, tzinfo=UTC),
    as_of=datetime(2026, 3, 9, 3, tzinfo=UTC),
)
MOMENT = RunInfo(run_id="manual__m", as_of=datetime(2026, 3, 11, 12, tzinfo=UTC))


def resolve(uri: str, run: RunInfo = WEEK) -> str:
    return resolve_templates(parse_config({"training": uri, "output": "s3://b/out"}), run).training


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://b/sets/{data_interval_end:%Y-%m-%d}/", "s3://b/sets/2026-03-09/"),
        ("s3://b/{data_interval_start}/to/{data_interval_end}", "s3://b/2026-03-02/to/2026-03-09"),
        ("s3://b/{as_of:%G-W%V}", "s3://b/2026-W11"),
        ("s3://b/{{odd}}/x", "s3://b/{odd}/x"),
        ("s3://b/plain", "s3://b/plain"),
    ],
)
def test_dates_of_the_run_stand_in_its_uris(uri: str, expected: str) -> None:
    assert resolve(uri) == expected


def test_dates_are_in_utc() -> None:
    tokyo = timezone(timedelta(hours=9))
    run = RunInfo(run_id="r", as_of=datetime(2026, 3, 10, 3, tzinfo=tokyo))
    assert resolve("s3://b/{as_of}", run) == "s3://b/2026-03-09"


def test_every_uri_is_resolved_and_nothing_else_changes() -> None:
    uris = {name: f"s3://b/{name}/{{as_of}}" for name in ("training", "validation", "test", "output", "parent")}
    config = parse_config(uris | {"hyperparameters": {"epochs": 3}})
    resolved = resolve_templates(config, WEEK)
    assert {name: getattr(resolved, name) for name in uris} == {name: f"s3://b/{name}/2026-03-09" for name in uris}
    assert resolved.hyperparameters == config.hyperparameters
    assert "2026-03-09" in resolved.to_json() and "as_of" not in resolved.to_json()
    plain = parse_config({"training": "t", "output": "o"})
    assert resolve_templates(plain, WEEK) is plain


def test_a_run_without_an_interval_has_its_moment_and_no_interval() -> None:
    assert resolve("s3://b/{as_of}", MOMENT) == "s3://b/2026-03-11"
    with pytest.raises(UsageError, match=r"training=s3://b/\{data_interval_end\} asks for .* run manual__m stands for"):
        resolve("s3://b/{data_interval_end}", MOMENT)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://b/{ds}", r"\{ds\} is unknown; valid are \{data_interval_start\}, \{data_interval_end\}, \{as_of\}"),
        ("s3://b/{as_of.__class__}", r"\{as_of.__class__\} is unknown"),
        ("s3://b/{0}", r"\{0\} is unknown"),
        ("s3://b/{as_of", "expected '}' before end of string"),
        ("s3://b/}", "write {{ and }} for braces"),
    ],
)
def test_other_names_and_lone_braces_are_refused(uri: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        resolve(uri)
