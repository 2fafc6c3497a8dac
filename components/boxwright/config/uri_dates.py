"""Dates in the URIs of a run: `s3://bucket/sets/{data_interval_end:%Y-%m-%d}/`.

Resolved here and not by Airflow's templates, which know no interval in runs without a logical date.
"""

from __future__ import annotations

import string
from datetime import UTC, datetime

from boxwright.config.run import RunConfig
from boxwright.config.run_info import RunInfo
from boxwright.errors import UsageError

NAMES = ("data_interval_start", "data_interval_end", "as_of")
FIELDS = ("training", "validation", "test", "output", "parent")
_DEFAULT_FORMAT = "%Y-%m-%d"


def resolve_templates(config: RunConfig, run: RunInfo) -> RunConfig:
    """The configuration with the run's dates in its URIs, in UTC.

    `{as_of}` is known of every run; `{data_interval_start}` and `{data_interval_end}` of those that stand for an
    interval. After a colon comes a format of `strftime`, `%Y-%m-%d` where there is none; `{{` stands for a brace.

    Raises:
        UsageError: a name is unknown, or asks for an interval that the run does not have.
    """
    written = {name: uri for name in FIELDS if (uri := getattr(config, name)) and "{" in uri or uri and "}" in uri}
    if not written:
        return config
    return config.model_copy(update={name: _resolve(name, uri, run) for name, uri in written.items()})


def _resolve(field: str, uri: str, run: RunInfo) -> str:
    known: dict[str, datetime | None] = {
        "data_interval_start": run.interval_start,
        "data_interval_end": run.as_of if run.interval_start else None,
        "as_of": run.as_of,
    }
    try:
        parts = list(string.Formatter().parse(uri))
    except ValueError as error:
        raise UsageError(f"{field}={uri}: {error}; write {{{{ and }}}} for braces that belong to the URI") from None
    resolved = ""
    for text, name, form, _ in parts:
        resolved += text
        if name is None:
            continue
        if name not in known:
            valid = ", ".join(f"{{{one}}}" for one in NAMES)
            raise UsageError(f"{field}={uri}: {{{name}}} is unknown; valid are {valid}, and {{{{ for a brace")
        moment = known[name]
        if moment is None:
            raise UsageError(
                f"{field}={uri} asks for the run's data interval, and run {run.run_id} stands for a moment "
                f"({run.as_of.isoformat()}), not for an interval: it was not started by the schedule or a backfill. "
                "Give the URI itself, write {as_of}, or backfill the interval"
            )
        try:
            resolved += moment.astimezone(UTC).strftime(form or _DEFAULT_FORMAT)
        except (UnicodeError, ValueError) as error:
            raise UsageError(f"{field}={uri!a}: {form!a} is not a date format: {error}") from None
    return resolved
