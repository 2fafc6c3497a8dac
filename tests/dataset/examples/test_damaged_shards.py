"""What a disk may do to shards after they were written: each is named, and none is learned from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tinyset

from boxwright.config import parse_config
from boxwright.dataset.examples.build import build_examples
from boxwright.dataset.examples.reading import shards_of
from boxwright.dataset.snapshot.download import download_dataset
from boxwright.errors import StorageError


@pytest.fixture
def made(tmp_path: Path) -> Path:
    run = parse_config({"training": str(tinyset.write(tmp_path / "set", tinyset.document(8))), "output": "unused"})
    download_dataset(run, tmp_path / "dataset")
    build_examples(tmp_path / "dataset", tmp_path / "made", 0.2)
    return tmp_path / "made"


def _flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


def _first_record(data: bytes) -> bytes:
    return data[: 16 + int.from_bytes(data[:8], "little")]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: _flip(data, len(data) // 2), "checksum"),
        (lambda data: _flip(data, 3), "checksum"),
        (lambda data: data[: len(data) // 2], "ends in the middle"),
        (lambda data: data + b"more", "checksum"),
        (lambda data: b"", "it has 0 records, expected"),
        (_first_record, "it has 1 records, expected"),
        (lambda data: data + _first_record(data), "records, expected"),
        (lambda data: bytes(len(data)), "checksum"),
    ],
    ids=["data", "length", "cut", "longer", "empty", "first record", "one record more", "zeros"],
)
def test_a_damaged_shard_is_named(made: Path, damage: Callable[[bytes], bytes], said: str) -> None:
    shards = shards_of(made, "training")
    (path,) = sorted((made / "training").glob("*.tfrecord"))
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.raises(StorageError, match=f"{path} is not as it was written: .*{said}") as caught:
        list(shards)
    assert (caught.value.exit_code, caught.value.file) == (4, str(path))
    path.write_bytes(whole)
    assert list(shards) == [path]


def test_a_shard_that_is_gone_is_missed(made: Path) -> None:
    (path,) = (made / "training").glob("*.tfrecord")
    path.unlink()
    with pytest.raises(StorageError, match="training has 0 of 1 shards"):
        shards_of(made, "training")


@pytest.mark.parametrize("split", ["training", "validation"])
def test_no_training_goes_on_with_one(made: Path, tmp_path: Path, split: str) -> None:
    from boxwright.model.seeds import fetch_pretrained
    from boxwright.training.fine_tuning import fine_tune

    values = {"training": "unused", "output": "unused", "model_id": "speck"}
    config = parse_config(values | {"hyperparameters": {"epochs": 2, "image_size": 64, "batch_size": 2}})
    (path,) = (made / split).glob("*.tfrecord")
    # What TensorFlow repeats without end, as there is nothing in it.
    path.write_bytes(b"")
    for name in ("seed", "out"):
        (tmp_path / name).mkdir()
    fetch_pretrained(config, tmp_path / "seed")
    with pytest.raises(StorageError, match=f"{path} is not as it was written"):
        fine_tune(config, made, tmp_path / "seed", tmp_path / "out", tmp_path / "checkpoints")
