"""Examples built by Beam on Dask workers that share an S3 server with this process, and no disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import tinyset
from seaweed import Seaweed
from waiting import wait_for

from boxwright.config import StorageConfig, parse_config
from boxwright.dataset.examples import build as examples
from boxwright.dataset.examples.beam import SharedPlace, _read_plan
from boxwright.dataset.examples.build import build_examples
from boxwright.dataset.examples.reading import shards_of
from boxwright.dataset.snapshot.download import download_dataset
from boxwright.errors import StorageError
from boxwright.pipeline.transport import bring_folder, publish_folder

NAMES = ("first", "second")


@dataclass
class Cluster:
    address: str
    homes: tuple[Path, ...]

    @property
    def beam_args(self) -> str:
        return (
            "--runner=apache_beam.runners.dask.dask_runner.DaskRunner "
            f"--dask_client_address={self.address} --dask_npartitions=4"
        )

    def fetched(self) -> list[int]:
        """The number of files that each worker has fetched."""
        return [sum(path.is_file() for path in (home / "cache").rglob("*")) for home in self.homes]


@pytest.fixture
def cluster(s3: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A scheduler and two workers, each a process with a home and a folder for temporary files of its own."""
    # Each machine's cache is that of its home.
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path / "driver"))
    monkeypatch.delenv("BOXWRIGHT_CACHE", raising=False)
    log = tmp_path / "dask.log"
    with ExitStack() as stack, log.open("wb") as out:

        def start(*command: str, home: Path) -> None:
            (home / "tmp").mkdir(parents=True)
            environment = os.environ | {"BOXWRIGHT_HOME": str(home), "TMPDIR": str(home / "tmp")}
            process = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli." + command[0], *command[1:]],
                env=environment,
                cwd=home,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)

        def line(found: str) -> str | None:
            return next((one for one in log.read_text().splitlines() if found in one), None)

        start("dask_scheduler", "--host=127.0.0.1", "--port=0", "--no-dashboard", "--no-show", home=tmp_path / "head")
        wait_for(lambda: line("Scheduler at:") is not None, "the scheduler listens")
        address = str(line("Scheduler at:")).split()[-1]
        homes = tuple(tmp_path / name for name in NAMES)
        for home in homes:
            one = ("--nworkers=1", "--nthreads=1", "--no-dashboard", f"--name={home.name}")
            start("dask_worker", address, *one, home=home)
        wait_for(lambda: log.read_text().count("Starting established connection") >= 2 * len(homes), "workers")
        yield Cluster(address, homes)


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != "complete.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_workers_fetch_images_and_hand_in_shards_by_themselves(
    s3: Seaweed, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "SHARD_BYTES", 3000)
    bucket = s3.make_bucket(f"beam-{os.getpid()}")
    source = tinyset.write(tmp_path / "set", tinyset.document(20))
    tinyset.picture(13).convert("RGBA").save(source / "images" / "p3.png")
    s3.put_tree(source, f"{bucket}/set")
    download_dataset(parse_config({"training": f"{bucket}/set", "output": "unused"}), tmp_path / "dataset")
    expected = build_examples(tmp_path / "dataset", tmp_path / "expected", 0.2)
    assert expected.splits["training"].shards > 3 and expected.normalised == {"alpha": 1}

    publish_folder(tmp_path / "dataset", f"{bucket}/root/dataset")
    here = tmp_path / "driver"
    bring_folder(f"{bucket}/root/dataset", here / "dataset", images=False)
    place = SharedPlace(f"{bucket}/root/examples", f"{bucket}/root/plans", StorageConfig())
    made = build_examples(here / "dataset", here / "made", 0.2, beam_args=cluster.beam_args, place=place)
    assert made == expected
    assert not list(here.rglob("*.tfrecord")) and not list(here.rglob("*.jpg"))
    assert all(count > 3 for count in cluster.fetched()), "both have worked"

    publish_folder(here / "made", place.uri, anew=True)
    bring_folder(place.uri, tmp_path / "elsewhere")
    of_beam = files(tmp_path / "elsewhere")
    of_beam.pop("shards.json")
    assert of_beam == files(tmp_path / "expected")
    # A later step on the machine that has built them.
    for split in made.splits:
        shards = [path.read_bytes() for path in shards_of(here / "made", split)]
        assert shards == [path.read_bytes() for path in shards_of(tmp_path / "expected", split)]


def test_an_image_that_changed_meanwhile_is_named(s3: Seaweed, cluster: Cluster, tmp_path: Path) -> None:
    bucket = s3.make_bucket(f"beam-changed-{os.getpid()}")
    s3.put_tree(tinyset.write(tmp_path / "set", tinyset.document(6)), f"{bucket}/set")
    download_dataset(parse_config({"training": f"{bucket}/set", "output": "unused"}), tmp_path / "dataset")
    s3.client().put_object(Bucket=bucket[5:], Key="set/images/p1.png", Body=b"another")
    place = SharedPlace(f"{bucket}/root/examples", f"{bucket}/root/plans", StorageConfig())
    with pytest.raises(StorageError, match=r"p1.png changed after it was listed"):
        build_examples(tmp_path / "dataset", tmp_path / "made", 0.2, beam_args=cluster.beam_args, place=place)


@pytest.mark.parametrize("content", ["{", "[]", '{"images": [[1]]}', '{"images": [], "source": "a", "target": "b"}'])
def test_a_plan_that_is_not_as_it_was_written_is_named(tmp_path: Path, content: str) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(content)
    with pytest.raises(StorageError, match=r"plan.json is not as it was written \(\w+Error\); run again"):
        _read_plan(str(plan))
