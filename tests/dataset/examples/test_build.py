"""Shards are read back with TensorFlow, as training reads them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tinyset

from boxwright.config import parse_config
from boxwright.dataset.annotations.reading import load_annotations
from boxwright.dataset.examples import build as examples
from boxwright.dataset.examples import engines
from boxwright.dataset.examples.build import build_examples
from boxwright.dataset.examples.summary import ExamplesSummary
from boxwright.dataset.snapshot.download import download_dataset
from boxwright.errors import DataError, StorageError, UsageError


def dataset(folder: Path, **splits: Any) -> Path:
    paths = {name: str(tinyset.write(folder / name, content)) for name, content in splits.items()}
    download_dataset(parse_config({"output": "unused", **paths}), folder / "dataset")
    return folder / "dataset"


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The features of each example, by file name."""
    found = {}
    for raw in tf.data.TFRecordDataset([str(path) for path in sorted(folder.glob("*.tfrecord"))]):
        features = tf.train.Example.FromString(raw.numpy()).features.feature
        values = {name: list(getattr(value, value.WhichOneof("kind") or "x_list", value).value)
                  if value.WhichOneof("kind") else [] for name, value in features.items()}  # fmt: skip
        found[values["image/filename"][0].decode()] = values
    return found


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_features(tmp_path: Path) -> None:
    content = tinyset.document()
    content["annotations"][0]["bbox"] = [-1, 3, 20, 31]
    content["annotations"] = content["annotations"][:4]  # the last image has no box
    source = dataset(tmp_path, training=content, validation=tinyset.document(1, first=9))
    summary = build_examples(source, tmp_path / "out", 0.2)
    found = read(tmp_path / "out" / "training")
    assert set(found) == {"p0.jpg", "p1.png", "p2.jpg"}
    first = found["p0.jpg"]
    assert first["image/encoded"] == [(source / "training" / "images" / "p0.jpg").read_bytes()]
    assert (first["image/format"], first["image/source_id"]) == ([b"jpeg"], [b"10"])
    assert (first["image/width"], first["image/height"]) == ([40], [30])
    np.testing.assert_allclose(first["image/object/bbox/xmin"], [0, 10.5 / 40])
    np.testing.assert_allclose(first["image/object/bbox/ymin"], [3 / 30, 0])
    np.testing.assert_allclose(first["image/object/bbox/xmax"], [20 / 40, 1])
    np.testing.assert_allclose(first["image/object/bbox/ymax"], [1, 1])
    assert first["image/object/class/label"] == [1, 2] and first["image/object/class/text"] == [b"cat", b"dog"]
    assert found["p1.png"]["image/format"] == [b"png"]
    assert found["p2.jpg"]["image/object/class/label"] == []
    counts = {
        "training": {"images": 3, "boxes": 4, "shards": 1},
        "validation": {"images": 1, "boxes": 2, "shards": 1},
    }
    assert ExamplesSummary.read(tmp_path / "out") == summary
    written = json.loads((tmp_path / "out" / "examples.json").read_text())
    assert written["fingerprint"] == json.loads((source / "dataset.json").read_text())["fingerprint"]
    assert (written["classes"], written["category_ids"], written["splits"]) == (["cat", "dog"], [3, 7], counts)


def test_validation_is_split_off_and_the_ground_truth_follows(tmp_path: Path) -> None:
    source = dataset(tmp_path, training=tinyset.document(12), test=tinyset.document(2, first=20))
    summary = build_examples(source, tmp_path / "out", 0.3)
    assert list(summary.splits) == ["training", "validation", "test"]
    names = {split: set(read(tmp_path / "out" / split)) for split in summary.splits}
    for split, expected in names.items():
        truth = load_annotations(tmp_path / "out" / split / "annotations.json")
        assert {image.file_name for image in truth.images} == expected
        assert summary.splits[split].boxes == len(truth.boxes)
    assert len(names["training"] | names["validation"]) == 12 and not names["training"] & names["validation"]
    assert not list((tmp_path / "out").rglob("*.jpg"))


def test_same_dataset_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "SHARD_BYTES", 4000)
    source = dataset(tmp_path, training=tinyset.document(14))
    summary = build_examples(source, tmp_path / "a", 0.2)
    build_examples(source, tmp_path / "b", 0.2)
    build_examples(source, tmp_path / "b", 0.2)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    shards = sorted(path.name for path in (tmp_path / "a" / "training").glob("*.tfrecord"))
    count = summary.splits["training"].shards
    assert count > 1 and shards == [f"examples-{i:05d}-of-{count:05d}.tfrecord" for i in range(count)]
    assert len(read(tmp_path / "a" / "training")) == summary.splits["training"].images


def test_the_seed_decides_on_the_order(tmp_path: Path) -> None:
    source = dataset(tmp_path, training=tinyset.document(14))
    build_examples(source, tmp_path / "a", 0.2, seed=0)
    build_examples(source, tmp_path / "b", 0.2, seed=1)
    orders = [list(read(tmp_path / name / "training")) for name in "ab"]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])


def test_processes_and_beam_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = dataset(tmp_path, training=tinyset.document(14))
    (source / "training" / "images" / "p3.png").unlink()
    strange = tinyset.picture(13).convert("RGBA")
    strange.save(source / "training" / "images" / "p3.png")
    set_digest(source, "p3.png")
    monkeypatch.setattr(examples, "SHARD_BYTES", 4000)
    monkeypatch.setattr(engines.os, "sched_getaffinity", lambda _: {0, 1})
    seen: list[tuple[int, int]] = []
    by_processes = build_examples(
        source, tmp_path / "a", 0.2, on_progress=lambda done, total: seen.append((done, total))
    )
    by_beam = build_examples(source, tmp_path / "b", 0.2, beam_args="--runner=DirectRunner --direct_num_workers=2")
    monkeypatch.setattr(engines.os, "sched_getaffinity", lambda _: {0})
    alone = build_examples(source, tmp_path / "c", 0.2)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b") == hashes(tmp_path / "c")
    assert by_processes.normalised == by_beam.normalised == alone.normalised == {"alpha": 1}
    shards = sum(split.shards for split in by_processes.splits.values())
    assert shards > 2 and sorted(seen) == [(done, shards) for done in range(1, shards + 1)]


def set_digest(folder: Path, name: str) -> None:
    """Makes the manifest say what an image's file is now."""
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for line in lines:
        if line.get("key") == f"images/{name}":
            line["sha256"] = hashlib.sha256((folder / "training" / "images" / name).read_bytes()).hexdigest()
    (folder / "manifest.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_an_image_that_is_not_the_checked_one_is_named(tmp_path: Path) -> None:
    source = dataset(tmp_path, training=tinyset.document(4))
    path = source / "training" / "images" / "p1.png"
    path.unlink()
    tinyset.picture(99).save(path)
    with pytest.raises(StorageError, match="p1.png is no longer the file that was checked; run download_dataset"):
        build_examples(source, tmp_path / "out", 0.3)


def test_arguments_that_beam_does_not_know(tmp_path: Path) -> None:
    source = dataset(tmp_path, training=tinyset.document(4))
    with pytest.raises(UsageError, match="BOXWRIGHT_BEAM_PIPELINE_ARGS='--runner=NoSuchRunner'.*NoSuchRunner"):
        build_examples(source, tmp_path / "out", 0.3, beam_args="--runner=NoSuchRunner")


def test_a_folder_that_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run download_dataset"):
        build_examples(tmp_path, tmp_path / "out", 0.2)


def test_blood_cells(tmp_path: Path, bccd: Path) -> None:
    values = {"training": str(bccd / "validation"), "output": "x", "annotations_file": "annotations.clean.json"}
    download_dataset(parse_config(values), tmp_path / "dataset")
    summary = build_examples(tmp_path / "dataset", tmp_path / "out", 0.2)
    found = {**read(tmp_path / "out" / "training"), **read(tmp_path / "out" / "validation")}
    assert len(found) == 87 and sum(split.boxes for split in summary.splits.values()) == 1137
    image = tf.io.decode_image(found["BloodImage_00000.jpg"]["image/encoded"][0], channels=3)
    assert image.shape == (480, 640, 3)
    for values in found.values():
        assert all(
            a < b for a, b in zip(values["image/object/bbox/xmin"], values["image/object/bbox/xmax"], strict=True)
        )
