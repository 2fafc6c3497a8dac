"""Images that are checked in parts make the dataset, and the report, of one machine that checked them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tinyset

from boxwright.config import parse_config
from boxwright.dataset.snapshot.download import check_part, download_dataset
from boxwright.dataset.validation.findings import Report
from boxwright.dataset.validation.validate import validate_annotations
from boxwright.errors import DataError, StorageError

PARTS = 3


class Checked:
    """A dataset of two splits with everything odd about it, checked in parts."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.source = tinyset.write(folder / "set", tinyset.document(8))
        tinyset.write(folder / "other", tinyset.document(3, first=50))
        self.images = self.source / "images"
        self.config = parse_config(
            {
                "training": str(self.source),
                "validation": str(folder / "other"),
                "output": "unused",
                "data_validation": settings,
            }
        )
        self.report = folder / "validated" / "validation_report.json"

    def validate(self) -> None:
        validate_annotations(self.config, self.report.parent)

    def check(self) -> list[int]:
        if not self.report.exists():
            self.validate()
        return [
            check_part(self.config, self.report, number, PARTS, str(self.folder / "parts"), self.folder)
            for number in range(PARTS)
        ]

    def put_together(self, name: str, parts: bool) -> tuple[Path, DataError | None]:
        """The dataset folder, and the error that it ended with."""
        out = self.folder / name
        try:
            download_dataset(self.config, out, self.report, parts_uri=str(self.folder / "parts") if parts else None)
        except DataError as error:
            return out, error
        return out, None


def facts(folder: Path) -> dict[str, object]:
    files = (
        "validation_report.json",
        "dataset.json",
        "manifest.jsonl",
        "training/annotations.json",
        "validation/annotations.json",
    )
    return {name: (folder / name).read_text() for name in files if (folder / name).exists()}


def test_nothing_is_fetched_again(tmp_path: Path) -> None:
    checked = Checked(tmp_path)
    assert checked.check() == [4, 4, 3]
    assert not list(tmp_path.glob("boxwright-part-*"))
    alone, together = checked.put_together("alone", parts=False), checked.put_together("together", parts=True)
    assert (alone[1], together[1]) == (None, None)
    assert facts(alone[0]) == facts(together[0])
    assert not list(together[0].glob("*/images/*")), "all were checked elsewhere"


@pytest.mark.parametrize("on_invalid", ["fail", "drop"])
def test_findings_are_those_of_one_machine(tmp_path: Path, on_invalid: str) -> None:
    checked = Checked(tmp_path, on_invalid=on_invalid, max_drop_share=0.9)
    images = sorted(checked.images.iterdir())
    checked.validate()
    images[0].write_bytes(b"no picture")
    images[1].unlink()
    images[2].write_bytes(images[4].read_bytes())
    tinyset.picture(3, 60, 60).save(images[3])
    checked.check()
    alone, together = checked.put_together("alone", parts=False), checked.put_together("together", parts=True)
    assert facts(alone[0]) == facts(together[0])
    report = Report.read(together[0] / "validation_report.json")
    rules = {found.rule for found in report.findings}
    assert {"image_undecodable", "image_missing", "duplicate_image_within_split"} <= rules
    for error in (alone[1], together[1]):
        assert (error is None) == (on_invalid == "drop")
    page = (together[0] / "validation_report.html").read_text()
    assert page.count("data:image/png") == (alone[0] / "validation_report.html").read_text().count("data:image/png") > 2


@pytest.mark.parametrize("version", [None, "0.0.1"])
def test_what_was_written_since_or_never_checked_is_looked_at_anew(tmp_path: Path, version: str | None) -> None:
    checked = Checked(tmp_path)
    checked.check()
    other = tmp_path / "parts" / "00001-of-00003.jsonl"
    if version is None:
        other.unlink()
    else:
        other.write_text("\n".join([json.dumps({"version": version}), *other.read_text().splitlines()[1:]]))
    first = sorted(checked.images.iterdir())[0]
    tinyset.picture(77).save(first)
    out, error = checked.put_together("together", parts=True)
    assert error is None and facts(out) == facts(checked.put_together("alone", parts=False)[0])
    own = {path.name for path in out.glob("*/images/*")}
    assert first.name in own and len(own) in (4, 5), "its own, and those of the part that is gone"


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        json.dumps({"split": "training", "file": "p0.jpg", "listed": ["x"], "sha256": "a", "problems": []}),
        json.dumps(
            {"split": "training", "file": "p0.jpg", "listed": None, "sha256": "a", "problems": [["no_rule", 1]]}
        ),
    ],
)
def test_a_part_that_is_not_as_it_was_written_is_named(tmp_path: Path, line: str) -> None:
    checked = Checked(tmp_path)
    checked.check()
    part = tmp_path / "parts" / "00001-of-00003.jsonl"
    part.write_text(f"{part.read_text().splitlines()[0]}\n{line}")
    with pytest.raises(StorageError, match="00001-of-00003.jsonl is not as it was written"):
        checked.put_together("together", parts=True)


def test_a_dataset_that_was_never_divided_needs_no_parts(tmp_path: Path) -> None:
    checked = Checked(tmp_path)
    checked.validate()
    out, error = checked.put_together("together", parts=True)
    assert error is None and len(list(out.glob("*/images/*"))) == 11
