"""Labels and SavedModel of an archive of the managed algorithm, whose names nobody documents: told from content."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from boxwright.errors import DataError
from boxwright.packaging.foreign_archive import is_foreign, labels_below, saved_model_below, unpack_foreign
from boxwright.packaging.label_map import export_label_map
from boxwright.registry.open_model import open_model

NAMES = ("bolt", "nut", "a 'round' washer ☃")
PAIRS = list(enumerate(NAMES, start=1))


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    files = {
        "1/saved_model.pb": b"a graph", "1/variables/variables.index": b"1", "1/assets/tokens.bin": b"2",
        "labels_info.json": json.dumps({"labels": NAMES}).encode(), "code/inference.py": b"print()",
    }  # fmt: skip
    return packed(tmp_path / "model.tar.gz", files)


def test_the_program_and_the_labels_come_out_and_nothing_else(archive: Path, tmp_path: Path) -> None:
    unpack_foreign(archive, folder := tmp_path / "model")
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {"1/saved_model.pb", "1/variables/variables.index", "labels_info.json"}
    assert is_foreign(folder) and saved_model_below(folder) == folder / "1" and labels_below(folder) == NAMES


def test_it_is_opened_only_where_it_is_trusted_and_the_error_says_what_can_be_done(
    archive: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"SavedModel of another program: serve, .*--trust-saved-model.*trained"):
        with open_model(str(archive)):
            pass
    with open_model(str(archive), trusted=True) as folder:
        assert is_foreign(folder)
        with pytest.raises(DataError, match="SavedModel of another program"), open_model(str(folder)):
            pass
    packed(tmp_path / "other.tar.gz", {"readme.html": b"x"})
    with pytest.raises(DataError, match="is not of a model package"), open_model(str(tmp_path / "other.tar.gz")):
        pass


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", list(NAMES)),
        ("class_label_to_prediction_index.json", {name: number for number, name in enumerate(NAMES)}),
        ("one.json", {name: number for number, name in enumerate(NAMES, start=1)}),
        ("texts.json", {name: str(number) for number, name in enumerate(NAMES)}),
        ("map.json", {str(number): name for number, name in enumerate(NAMES)}),
        ("label_map.json", {"labels": NAMES, "category_ids": [4, 5, 6]}),
        ("labels.txt", "\n".join(NAMES) + "\n"),
        ("any.pbtxt", "".join(f"item {{ name: '{i}' display_name: \"{name}\" id: {i} }}\n" for i, name in PAIRS)),
    ],
)
def test_labels_are_told_from_what_a_file_has(name: str, content: Any, tmp_path: Path) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / name).write_text(text)
    (tmp_path / "hyperparameters.json").write_text('{"epochs": "5", "optimizer": "adam"}')
    (tmp_path / "notes.txt").write_text("trained on Monday\nby nobody\n")
    assert labels_below(tmp_path) == NAMES


def test_our_own_label_map_is_read_in_both_its_forms(tmp_path: Path) -> None:
    for path in export_label_map(NAMES, (1, 2, 3), tmp_path):
        (alone := tmp_path / path.stem / path.suffix[1:]).mkdir(parents=True)
        path.rename(alone / path.name)
        assert labels_below(alone) == NAMES


def test_numbers_without_a_name_keep_their_place(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('{"person": 1, "bicycle": 3}')
    assert labels_below(tmp_path) == ("person", "class 2", "bicycle")


def test_what_cannot_be_told_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file has the labels; expected a list of names"):
        labels_below(tmp_path)
    with pytest.raises(DataError, match=r"one folder with a saved_model\.pb, got none"):
        saved_model_below(tmp_path)
    (tmp_path / "a.json").write_text('["bolt"]')
    (tmp_path / "b.json").write_text('["bolt", "nut"]')
    with pytest.raises(DataError, match=r"say different things: a\.json with 1 classes; b\.json with 2 classes"):
        labels_below(tmp_path)
