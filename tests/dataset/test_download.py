from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tinyset
from seaweed import Seaweed

from components.config import RunConfig, parse_config
from components.dataset.annotations import load_annotations
from components.dataset.download import download_dataset
from components.errors import DataError


def config(training: Path | str, **others: Any) -> RunConfig:
    return parse_config({"training": str(training), "output": "unused", **{k: str(v) for k, v in others.items()}})


def test_the_dataset_folder(tmp_path: Path) -> None:
    content = tinyset.document()
    content["images"][2]["file_name"] = "deep/näme.jpg"
    source = tinyset.write(tmp_path / "set", content)
    (source / "images" / "unnamed.jpg").write_bytes(b"not in the annotations")
    validation = tinyset.document(2, first=50)
    del validation["categories"]
    validation["annotations"] = validation["annotations"][:1]
    tinyset.write(tmp_path / "other", validation)
    summary = download_dataset(config(source, validation=tmp_path / "other"), tmp_path / "out")

    assert summary.splits == {"training": {"images": 3, "boxes": 6}, "validation": {"images": 2, "boxes": 1}}
    assert (summary.classes, summary.category_ids) == (("cat", "dog"), (3, 7))
    assert json.loads((tmp_path / "out" / "dataset.json").read_text()) == {
        "fingerprint": summary.fingerprint,
        "splits": summary.splits,
        "classes": ["cat", "dog"],
        "category_ids": [3, 7],
    }
    for split, folder in (("training", source), ("validation", tmp_path / "other")):
        found = load_annotations(tmp_path / "out" / split / "annotations.json")
        assert found.categories == {3: "cat", 7: "dog"}
        for image in found.images:
            copy = tmp_path / "out" / split / "images" / image.file_name
            assert copy.read_bytes() == (folder / "images" / image.file_name).read_bytes()
    files = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert "unnamed.jpg" not in files and not any(name.endswith(".part") for name in files)


def test_the_fingerprint_is_of_the_content_not_of_the_place(tmp_path: Path, s3: Seaweed) -> None:
    source = tinyset.write(tmp_path / "set")
    uri = s3.make_bucket("fingerprint")
    s3.put_tree(source, f"{uri}/p")
    local = download_dataset(config(source), tmp_path / "a")
    remote = download_dataset(config(f"{uri}/p/"), tmp_path / "b")
    assert local == remote
    assert (tmp_path / "a" / "dataset.json").read_bytes() == (tmp_path / "b" / "dataset.json").read_bytes()

    tinyset.picture(99).save(source / "images" / "p0.jpg")
    other_image = download_dataset(config(source), tmp_path / "c")
    content = tinyset.document()
    content["annotations"][0]["bbox"][0] += 0.5
    tinyset.write(source, content)
    other_box = download_dataset(config(source), tmp_path / "d")
    assert len({local.fingerprint, other_image.fingerprint, other_box.fingerprint}) == 3


def test_a_second_call_uses_what_is_there(tmp_path: Path) -> None:
    source = tinyset.write(tmp_path / "set")
    first = download_dataset(config(source), tmp_path / "out")
    (tmp_path / "out" / "dataset.json").unlink()
    kept = tmp_path / "out" / "training" / "images" / "p1.png"
    inode = kept.stat().st_ino
    cut = tmp_path / "out" / "training" / "images" / "p0.jpg"
    cut.write_bytes(cut.read_bytes()[:100])
    assert download_dataset(config(source), tmp_path / "out") == first
    assert kept.stat().st_ino == inode


def test_all_bad_images_of_all_splits_are_named_at_once(tmp_path: Path) -> None:
    source, other = tinyset.write(tmp_path / "set"), tinyset.write(tmp_path / "other")
    cut = source / "images" / "p0.jpg"
    cut.write_bytes(cut.read_bytes()[:-300])
    (source / "images" / "p1.png").unlink()
    tinyset.picture(0, 20, 20).save(other / "images" / "p2.jpg")
    with pytest.raises(DataError) as caught:
        download_dataset(config(source, test=other), tmp_path / "out")
    text = str(caught.value)
    assert "3 bad records" in text and "\n" not in text
    assert "training: 'p0.jpg' (images[0]) is broken or truncated" in text
    assert "training: 'p1.png' (images[1]) does not exist" in text
    assert "test: 'p2.jpg' (images[2]) is 20 x 20, but declared 40 x 30" in text
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_classes_must_agree(tmp_path: Path) -> None:
    other = tinyset.document()
    other["categories"].append({"id": 9, "name": "cow"})
    run = config(tinyset.write(tmp_path / "a"), test=tinyset.write(tmp_path / "b", other))
    with pytest.raises(DataError, match="cow"):
        download_dataset(run, tmp_path / "out")


def test_training_needs_a_box(tmp_path: Path) -> None:
    source = tinyset.write(tmp_path / "set", {**tinyset.document(), "annotations": []})
    with pytest.raises(DataError, match="no box"):
        download_dataset(config(source), tmp_path / "out")


def test_blood_cells_from_s3(tmp_path: Path, s3: Seaweed, bccd: Path) -> None:
    uri = s3.make_bucket("bccd")
    s3.put_tree(bccd / "validation", f"{uri}/cells")
    run = {"annotations_file": "annotations.clean.json"}
    seen: list[tuple[int, int]] = []
    remote = download_dataset(
        config(f"{uri}/cells/", **run), tmp_path / "remote", lambda done, total: seen.append((done, total))
    )
    shutil.copytree(bccd / "validation", tmp_path / "copy")
    assert remote == download_dataset(config(tmp_path / "copy", **run), tmp_path / "local")
    assert remote.splits == {"training": {"images": 87, "boxes": 1137}} and seen[-1] == (87, 87)
    assert remote.classes == ("Platelets", "RBC", "WBC")
