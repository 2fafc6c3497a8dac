"""Every setting that is free text is subject to an administrator's list, or it stands here why it need not be."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from boxwright.config import (
    BatchInferenceConfig,
    Limit,
    RunInfo,
    nest_settings,
    parse_config,
    parse_record,
    resolve_templates,
    run_fields,
)
from boxwright.config.settings import Settings
from boxwright.errors import UsageError
from boxwright.model import model_spec
from boxwright.storage import Allowed, parse_uri

HARMLESS = {
    "annotations_file": "a name without a slash, within a dataset that is allowed",
    "model_id": "a row of the catalogue",
    "model_name": "letters and digits: a name in the registry; who may train may train any of its models",
    "storage_region": "letters, digits and hyphens: which of Amazon's own hosts is asked",
}

# What reaches into paths, queries, addresses, shells and templates, and what no parser expects.
HOSTILE = (
    "../../etc/passwd", "a/../b", "/etc/passwd", "file:///etc/passwd", "..\\x.json", "../x.json", "s3://lake/../x",
    "x' OR '1'='1", "x`;--", "$(id)", "-rf", "{{ var.value.x }}", "a\nb", "a\n.json", "a\0b", "\ud800",
    "http://h/?a=b#c", "http://[", "http://h:port", "arn:\t", "models:/../1", "models:/a@b/c",
    "{as_of.__class__}", "{as_of!r:%d}", "{as_of:\ud800}", "{as_of:/../x}",
    "{" * 5000, '{"a":' * 100_000, "x" * 1_000_000, "inf", "nan", "1e999", "٣", [["x"]], {"a": {"b": 1}}, 10**400,
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@pytest.mark.parametrize("name", run_fields())
def test_a_hostile_value_is_refused_in_one_short_line_or_is_a_plain_name(name: str) -> None:
    run = RunInfo(run_id="r", as_of=datetime.now(UTC))
    allowed = Allowed(dict.fromkeys(Limit, ("s3://lake",)))

    def take(value: Any) -> None:
        config = parse_config(nest_settings({"training": "s3://lake/x", "output": "s3://lake/o", name: value}))
        allowed.check(resolve_templates(config, run))
        if name == "model_id":
            model_spec(config.model_id)

    _try_hostile(name, take)


@pytest.mark.parametrize("name", BatchInferenceConfig.model_fields)
def test_so_is_one_of_batch_inference(name: str) -> None:
    allowed = Allowed(dict.fromkeys(Limit, ("s3://lake",)))

    def take(value: Any) -> None:
        values = {"images": "s3://lake/i", "output": "s3://lake/o", "model": "models:/a/1", name: value}
        allowed.check(parse_record(BatchInferenceConfig, values))

    _try_hostile(name, take)


def _try_hostile(name: str, take: Callable[[Any], None]) -> None:
    for value in HOSTILE:
        try:
            take(value)
        except UsageError as error:
            assert len(str(error)) < 3000 and "\n" not in str(error), "it is told in one line"
        else:
            assert NAME.fullmatch(str(value).removeprefix("-")), f"{name} took {value!a}"


def test_a_folder_of_the_registrys_name_is_no_way_around_the_lists() -> None:
    config = parse_config({"training": "s3://lake/x", "output": "models:/../../tmp/evil"})
    with pytest.raises(UsageError, match="is not a model reference"):
        Allowed({Limit.URIS: ("s3://lake",)}).check(config)
    with pytest.raises(UsageError, match="names a registered model; expected s3://"):
        parse_uri("models:/a/1")


def _takes_text(field: Any) -> bool:
    return field.annotation in (str, str | None)


def test_every_text_is_decided_on() -> None:
    fields = run_fields() | {f"batch {name}": field for name, field in BatchInferenceConfig.model_fields.items()}
    texts = {name for name, field in fields.items() if _takes_text(field)}
    limited = {name for name, field in fields.items() if any(isinstance(one, Limit) for one in field.metadata)}
    assert limited >= {"training", "output", "parent", "weights_uri", "storage_endpoint_url", "batch model"}
    assert texts - limited == set(HARMLESS) and not limited & set(HARMLESS)


def test_where_code_runs_is_no_setting_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    args = "--runner=PortableRunner --environment_type=PROCESS"
    with pytest.raises(UsageError, match="beam_pipeline_args is not a setting.*BOXWRIGHT_BEAM_PIPELINE_ARGS"):
        parse_config({"training": "/data", "output": "/out", "beam_pipeline_args": args})
    assert Settings.from_environment().beam_args is None
    monkeypatch.setenv("BOXWRIGHT_BEAM_PIPELINE_ARGS", args)
    assert Settings.from_environment().beam_args == args


def test_a_command_line_is_held_to_a_list_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from boxwright.pipeline import run_pipeline

    monkeypatch.setenv("BOXWRIGHT_ALLOWED_URIS", "s3://boxwright")
    with pytest.raises(UsageError, match="training=/etc is not allowed"):
        run_pipeline(parse_config({"training": "/etc", "output": "s3://boxwright/out"}))
