"""How fast examples are built, and by what: `python -m benchmarks.examples`.

1. `build_examples` on generated pictures (a few hundred different ones of COCO's size, each file made different by a
   tail of its own), beside a bare loop that reads the same files and writes their bytes: for 1,000 to 50,000 images,
   to see whether time grows with the images and memory does not.
2. The same work by a pool of processes and by Apache Beam's DirectRunner with as many processes.

Each measurement has a process of its own, on two cores. Memory is the peak of the process that divides the work, and
of its largest worker; the bare loop runs before and after, and the files are in the page cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.own_process import ROOT, cpu_seconds, measured, peak_megabytes
from benchmarks.synthetic import different_pictures

CORES = 2
SIZES = (1_000, 5_000, 20_000, 50_000)
BEAM = f"--runner=DirectRunner --direct_num_workers={CORES} --direct_running_mode=multi_processing"
LIMIT = 0.8


def dataset(cache: Path, count: int) -> Path:
    """A folder as `download_dataset` leaves it, with `count` images of two boxes each."""
    folder = cache / f"dataset-{count}"
    if (folder / "dataset.json").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "training" / "images").mkdir(parents=True)
    images, boxes = [], []
    with (folder / "manifest.jsonl").open("w") as manifest:
        manifest.write(f"{json.dumps({'split': 'training', 'source': str(folder / 'training'), 'unused': 0})}\n")
        for i, data in enumerate(different_pictures(cache, count)):
            name = f"{i:06d}.jpg"
            (folder / "training" / "images" / name).write_bytes(data)
            line = {"split": "training", "key": f"images/{name}", "sha256": hashlib.sha256(data).hexdigest()}
            listed = {"size": len(data), "etag": "", "version": None, "modified": None}
            manifest.write(f"{json.dumps(line | listed)}\n")
            images.append({"id": i, "file_name": name, "width": 640, "height": 480})
            boxes += [{"image_id": i, "bbox": [10, 10, 100 + j, 90], "category_id": j} for j in (1, 2)]
    content = {"images": images, "annotations": boxes, "categories": [{"id": i, "name": str(i)} for i in (1, 2)]}
    (folder / "training" / "annotations.json").write_text(json.dumps(content))
    summary = {"fingerprint": str(count), "splits": {"training": {}}, "classes": ["1", "2"], "category_ids": [1, 2]}
    (folder / "dataset.json").write_text(json.dumps(summary))
    return folder


def pool(folder: Path, out: Path) -> None:
    """As a run on one machine does it."""
    from boxwright.dataset.examples.build import build_examples

    build_examples(folder, out, 0.2)


def beam(folder: Path, out: Path) -> None:
    """The same through Apache Beam."""
    from boxwright.dataset.examples.build import build_examples

    build_examples(folder, out, 0.2, beam_args=BEAM)


def bare(folder: Path, out: Path) -> None:
    """Reads the files and writes their bytes."""
    out.mkdir()
    with (out / "all").open("wb") as file:
        for path in sorted((folder / "training" / "images").iterdir()):
            file.write(path.read_bytes())


PARTS = {part.__name__: part for part in (pool, beam, bare)}


def measure(part: str, folder: Path) -> dict[str, Any]:
    """Runs one part in a new process: `seconds`, `cpu` (seconds, children too) and `megabytes` (peak)."""
    return measured("benchmarks.examples", "--part", part, "--folder", str(folder))


def run_part(part: str, folder: Path) -> None:
    """The inner process."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    out = folder.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    with workers_peak() as workers:
        PARTS[part](folder, out)
    found: dict[str, Any] = {"seconds": time.perf_counter() - started}
    found["cpu"] = cpu_seconds()
    found["megabytes"], found["worker_megabytes"] = peak_megabytes(), max(workers, default=0)
    shards = sorted(out.rglob("*.tfrecord"))
    found["sha256"] = hashlib.sha256(b"".join(hashlib.sha256(p.read_bytes()).digest() for p in shards)).hexdigest()
    print(f"\n{json.dumps(found)}")


@contextmanager
def workers_peak() -> Iterator[list[float]]:
    """The peaks of the processes that this one has, as often as they were looked at; complete when the block ends."""
    peaks: list[float] = []
    ended = Event()

    def look() -> None:
        while not ended.wait(0.1):
            for worker in psutil.Process().children(recursive=True):
                with suppress(OSError, KeyError):  # it has just ended
                    peaks.append(peak_megabytes(worker.pid))

    thread = Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "benchmarks" / "examples", help="working folder")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="images")
    parser.add_argument("--beam-size", type=int, default=5_000, help="images for the comparison with Beam")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        run_part(given.part, given.folder)
        return
    given.work.mkdir(parents=True, exist_ok=True)
    columns = ("images", "seconds", "images/s", "MB/s", "x bare loop", "CPU ms an image", "peak MB", "of a worker")
    table = Table(*columns, title=f"build_examples, {CORES} cores")
    for count in given.sizes:
        table.add_row(*growth_row(dataset(given.work, count), count))
        shutil.rmtree(given.work / f"dataset-{count}")
    Console(width=140).print(table)
    compare(dataset(given.work, given.beam_size), given.beam_size)


def growth_row(folder: Path, count: int) -> list[str]:
    """One line of the first table."""
    size = sum(path.stat().st_size for path in (folder / "training" / "images").iterdir()) / 1e6
    before, ours, after = (measure(part, folder) for part in ("bare", "pool", "bare"))
    loop = (before["seconds"] + after["seconds"]) / 2
    seconds = ours["seconds"]
    return [
        f"{count:,}", f"{seconds:.1f}", f"{count / seconds:,.0f}", f"{size / seconds:,.0f}", f"{seconds / loop:.2f}",
        f"{1e3 * ours['cpu'] / count:.2f}", f"{ours['megabytes']:,.0f}", f"{ours['worker_megabytes']:,.0f}",
    ]  # fmt: skip


def compare(folder: Path, count: int) -> None:
    """Prints the second table."""
    table = Table("engine", "seconds", "images/s", "x pool", "CPU s", title=f"{count:,} images, {CORES} processes")
    found = {part: measure(part, folder) for part in ("pool", "beam")}
    if found["pool"]["sha256"] != found["beam"]["sha256"]:
        raise SystemExit("pool and Beam wrote different shards")
    for part, cost in found.items():
        speed = count / cost["seconds"]
        share = found["pool"]["seconds"] / cost["seconds"]
        table.add_row(part, f"{cost['seconds']:.1f}", f"{speed:,.0f}", f"{share:.2f}", f"{cost['cpu']:.1f}")
    Console(width=100).print(table)
    print(f"Beam is the local engine only where it reaches {LIMIT:g} of the pool; the shards are the same to the byte")


if __name__ == "__main__":
    main()
