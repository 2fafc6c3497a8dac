"""Records that are files: what is read back, from where, and what a broken file is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from boxwright.config import Frozen
from boxwright.errors import DataError
from boxwright.storage.records import StoredRecord


class Part(Frozen):
    share: float
    note: str = ""


class Whole(StoredRecord):
    FILE = "whole.json"
    ADVICE = "make it again"

    name: str
    parts: dict[str, Part] = {}
    counts: tuple[int, ...] = ()


WHOLE = Whole(name="a\ud800\n", parts={"one": Part(share=0.5)}, counts=(1, 2))


def test_what_was_written_is_read_again_from_a_folder_and_from_a_uri(tmp_path: Path) -> None:
    WHOLE.write(tmp_path)
    assert Whole.read(tmp_path) == Whole.read(f"file://{tmp_path}/") == WHOLE
    assert json.loads((tmp_path / "whole.json").read_text()) == {
        "name": "a\ud800\n",
        "parts": {"one": {"share": 0.5, "note": ""}},
        "counts": [1, 2],
    }


def test_a_bucket_is_read_as_well(tmp_path: Path, s3: Any) -> None:
    from boxwright.storage import upload_file

    bucket = s3.make_bucket("records")

    WHOLE.write(tmp_path)
    upload_file(tmp_path / "whole.json", f"{bucket}/runs/a/whole.json")
    assert Whole.read(f"{bucket}/runs/a") == WHOLE


def test_names_of_other_versions_are_left_out_at_any_depth_of_a_file_alone() -> None:
    data = b'{"name": "a", "later": 1, "parts": {"one": {"share": 1, "later": {}}}}'
    assert Whole.parse(data, "x") == Whole(name="a", parts={"one": Part(share=1)})
    with pytest.raises(ValidationError, match="later"):
        Whole(name="a", later=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "'name' is missing"),
        ('{"name": 3}', "'name' is 3: input should be a valid string"),
        ('{"name": "a", "parts": {"one": {"share": "much"}}}', "'parts.one.share' is 'much': input should be"),
        ('{"name": "a", "parts": {"one": {"share": NaN}}}', "'parts.one.share' is not a finite number"),
        ('{"name": "a", "counts": [1, -Infinity]}', r"'counts\[1\]' is not a finite number"),
        ('{"name": "a", "counts": [1e999]}', r"'counts\[0\]' is not a finite number"),
        (f'{{"name": "a", "counts": [1{"0" * 400}]}}', r"'counts\[0\]' is not a finite number"),
        ('{"name": "a", "counts": ["x", "y", "z", "x", "y"]}', "; and 2 more; make it again$"),
        ("[]", r"it is \[\], expected an object"),
        ("{", "it is no JSON"),
        ("\xff", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ('{"name": 3, "\\n\\u202e": NaN}', r"'\\n\\u202e' is not a finite number"),
    ],
)
def test_a_broken_file_is_named_with_its_fields_in_one_line(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "whole.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=said) as caught:
        Whole.read(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/whole.json is not a whole.json of Boxwright: ")
    assert message.endswith("; make it again") and "\n" not in message and len(message) < 600


def test_what_is_not_there_or_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"whole\.json does not exist.*or make it again"):
        Whole.read(tmp_path)
    WHOLE.write(tmp_path)
    monkeypatch.setattr(Whole, "LIMIT", 10)
    with pytest.raises(DataError, match=r"whole\.json"):
        Whole.read(tmp_path)


def test_no_number_is_written_that_json_does_not_have(tmp_path: Path) -> None:
    broken: Any = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        Whole(name="a", parts={"one": Part(share=broken)}).write(tmp_path)
    assert list(tmp_path.iterdir()) == []
