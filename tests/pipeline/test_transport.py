"""What a step puts out is found by a worker with another disk, and training begins before the last shard is there."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest
import tinyset
from seaweed import Seaweed

from boxwright.config import parse_config
from boxwright.dataset.examples import build as examples
from boxwright.dataset.examples.build import build_examples
from boxwright.dataset.examples.reading import shards_of
from boxwright.dataset.examples.summary import ExamplesSummary
from boxwright.dataset.snapshot.download import download_dataset
from boxwright.errors import StorageError
from boxwright.pipeline.transport import bring_folder, publish_folder
from boxwright.storage import download


def files(folder: Path) -> dict[str, bytes]:
    marks = ("complete.json", "fetched-ahead.json")
    found = (path for path in folder.rglob("*") if path.is_file() and path.name not in marks)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def bucket(s3: Seaweed, request: pytest.FixtureRequest) -> str:
    return s3.make_bucket(f"shared-{abs(hash(request.node.name)):x}")


def test_a_dataset_comes_back_with_its_images_from_where_they_were(s3: Seaweed, bucket: str, tmp_path: Path) -> None:
    s3.put_tree(tinyset.write(tmp_path / "set"), f"{bucket}/set")
    run = parse_config({"training": f"{bucket}/set", "output": "unused"})
    download_dataset(run, tmp_path / "made")
    publish_folder(tmp_path / "made", f"{bucket}/root/dataset")
    stored = {item["Key"] for item in s3.client().list_objects_v2(Bucket=bucket[5:], Prefix="root/")["Contents"]}
    assert "root/dataset/complete.json" in stored and not [key for key in stored if key.endswith((".jpg", ".png"))]
    bring_folder(f"{bucket}/root/dataset", tmp_path / "elsewhere")
    assert files(tmp_path / "elsewhere") == files(tmp_path / "made")


def test_what_is_not_whole_is_not_taken(s3: Seaweed, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a").write_bytes(b"1")
    publish_folder(tmp_path / "made", f"{bucket}/x")
    s3.client().delete_object(Bucket=bucket[5:], Key="x/complete.json")
    with pytest.raises(StorageError, match="x is missing or incomplete; clear the step"):
        bring_folder(f"{bucket}/x", tmp_path / "elsewhere")
    publish_folder(tmp_path / "made", f"{bucket}/x")
    bring_folder(f"{bucket}/x", tmp_path / "elsewhere")
    assert files(tmp_path / "elsewhere") == {"a": b"1"}


def make_examples(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ExamplesSummary:
    """Writes examples of several shards into `made`."""
    monkeypatch.setattr(examples, "SHARD_BYTES", 3000)
    run = parse_config({"training": str(tinyset.write(folder / "set", tinyset.document(20))), "output": "unused"})
    download_dataset(run, folder / "dataset")
    summary = build_examples(folder / "dataset", folder / "made", 0.2)
    assert summary.splits["training"].shards > 3
    return summary


def test_training_begins_before_the_last_shard_is_there(
    s3: Seaweed, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from boxwright.training.input import records_of

    count = make_examples(tmp_path, monkeypatch).splits["training"]
    publish_folder(tmp_path / "made", f"{bucket}/examples")
    bring_folder(f"{bucket}/examples", tmp_path / "elsewhere", shards_ahead=True)
    assert not list((tmp_path / "elsewhere" / "training").glob("*.tfrecord"))
    validation = [path.name for path in shards_of(tmp_path / "made", "validation")]
    assert validation == [path.name for path in shards_of(tmp_path / "elsewhere", "validation")], "only training waits"

    fetched: list[object] = []
    begun = Event()

    def slowly(uri: str, entries: list[object], folder: Path) -> None:
        if len(fetched) == 2:
            assert begun.wait(60), "the first records are read before the third shard comes"
        download(uri, entries, folder)  # type: ignore[arg-type]
        fetched.append(entries)

    monkeypatch.setattr("boxwright.storage.prefetch.download", slowly)
    seen: list[bytes] = []
    shards = shards_of(tmp_path / "elsewhere", "training")
    size = shards.size
    for record in records_of(shards):
        begun.set()
        seen.append(record.numpy())
    whole = [record.numpy() for record in records_of(shards_of(tmp_path / "made", "training"))]
    assert seen == whole and len(seen) == count.images
    assert size == shards_of(tmp_path / "made", "training").size > sum(map(len, whole))
    assert [record.numpy() for record in records_of(shards)] == whole, "again, as another epoch does"


def test_a_shard_that_cannot_be_fetched_is_an_error_for_who_waits(
    s3: Seaweed, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests may have fetched the same shards.
    monkeypatch.setenv("BOXWRIGHT_CACHE", str(tmp_path / "cache"))
    make_examples(tmp_path, monkeypatch)
    publish_folder(tmp_path / "made", f"{bucket}/examples")
    bring_folder(f"{bucket}/examples", tmp_path / "elsewhere", shards_ahead=True)
    first, second, *_ = sorted((tmp_path / "made" / "training").glob("*.tfrecord"))
    s3.client().delete_object(Bucket=bucket[5:], Key=f"examples/training/{second.name}")
    shards = shards_of(tmp_path / "elsewhere", "training")
    assert shards[0].read_bytes() == first.read_bytes()
    with pytest.raises(StorageError, match=f"{second.name} changed after it was listed"):
        shards[1]
    with pytest.raises(StorageError, match=f"{second.name} changed after it was listed"):
        shards.explain()


def test_shards_of_a_whole_folder_are_just_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_examples(tmp_path, monkeypatch)
    folder = tmp_path / "made" / "training"
    (folder / "other").touch()
    names = [path.name for path in shards_of(tmp_path / "made", "training")]
    assert names == sorted(path.name for path in folder.glob("*.tfrecord")) and len(names) > 3
