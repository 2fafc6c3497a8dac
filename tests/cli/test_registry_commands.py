"""`boxwright registry`: what it lists, and what it says of a model that there is not."""

from __future__ import annotations

import json
from typing import Any

from mlflow import MlflowClient


def test_versions_are_listed_and_a_wrong_name_is_an_error(tracking: str, boxwright: Any) -> None:
    assert boxwright("registry", "list")[:2] == (0, "no versions\n")
    client = MlflowClient(tracking)
    client.create_registered_model("detector")
    client.create_model_version("detector", "s3://elsewhere/model.tar.gz")
    code, listed, _ = boxwright("registry", "list", "detector", "--json")
    assert (code, [row["reference"] for row in json.loads(listed)]) == (0, ["models:/detector/1"])
    code, listed, error = boxwright("registry", "list", "detectr", "--json")
    assert (code, listed) == (2, "")
    assert "no model detectr has a version (did you mean detector?); registered are detector" in error


def test_a_tag_that_somebody_wrote_is_shown_as_it_is(tracking: str, boxwright: Any) -> None:
    client = MlflowClient(tracking)
    client.create_registered_model("detector")
    tags = {"boxwright.config": "by hand {", "boxwright.hyperparameters": '{"epochs": 3}'}
    client.create_model_version("detector", "s3://elsewhere/model.tar.gz", tags=tags)
    code, shown, _ = boxwright("registry", "show", "models:/detector/1", "--json")
    facts = json.loads(shown)
    assert (code, facts["config"], facts["hyperparameters"]) == (0, "by hand {", {"epochs": 3})
