"""Every setting that is free text is subject to an administrator's list, or it stands here why it need not be."""

from __future__ import annotations

from typing import Any

import pytest

from boxwright.config import BatchInferenceConfig, Limit, parse_config, run_fields
from boxwright.config.settings import Settings
from boxwright.errors import UsageError

HARMLESS = {
    "annotations_file": "a name without a slash, within a dataset that is allowed",
    "model_id": "a row of the catalogue",
    "model_name": "letters and digits: a name in the registry; who may train may train any of its models",
    "storage_region": "letters, digits and hyphens: which of Amazon's own hosts is asked",
}


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
    with pytest.raises(UsageError, match="beam_pipeline_args is no setting.*BOXWRIGHT_BEAM_PIPELINE_ARGS"):
        parse_config({"training": "/data", "output": "/out", "beam_pipeline_args": args})
    assert Settings.from_environment().beam_args is None
    monkeypatch.setenv("BOXWRIGHT_BEAM_PIPELINE_ARGS", args)
    assert Settings.from_environment().beam_args == args


def test_a_command_line_is_held_to_a_list_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from boxwright.pipeline import run_pipeline

    monkeypatch.setenv("BOXWRIGHT_ALLOWED_URIS", "s3://boxwright")
    with pytest.raises(UsageError, match="training=/etc is not allowed"):
        run_pipeline(parse_config({"training": "/etc", "output": "s3://boxwright/out"}))
