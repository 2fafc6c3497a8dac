from __future__ import annotations

import pytest

from boxwright.config.model_reference import ModelReference, checked_name, is_registered
from boxwright.errors import UsageError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("models:/detector/3", ModelReference("detector", 3)),
        ("models:/a.b-c_1@champion", ModelReference("a.b-c_1", alias="champion")),
        ("detector", ModelReference("detector", alias="candidate")),
    ],
)
def test_a_reference_is_a_number_an_alias_or_a_name(text: str, found: ModelReference) -> None:
    assert ModelReference.parse(text) == found
    assert ModelReference.parse(str(found)) == found
    assert ModelReference.find(text) == (found if is_registered(text) else None)


@pytest.mark.parametrize(
    "text",
    ["models:/detector", "models:/detector/x", "models:/detector/3/4", "models:/de tector/3", "models:/", "", "a/b",
     "s3://bucket/model.tar.gz", "/folder/model.tar.gz", "models:/x' OR name = 'detector/1", "models:/detector/3\n"],
)  # fmt: skip
def test_what_is_no_reference_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="expected models:/name/3 or models:/name@champion"):
        ModelReference.parse(text)
    assert ModelReference.find(text) is None


def test_a_name_may_not_reach_into_a_query() -> None:
    assert checked_name("detector") == "detector"
    with pytest.raises(UsageError, match="is not a model name"):
        checked_name("detector' OR '1' = '1")
