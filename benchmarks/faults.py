"""Downloads under every fault, many times over: `python -m benchmarks.faults`.

Each run fetches the same objects (60 small, two of 20 MB) into an empty cache and folder, in a forked process,
through a proxy that breaks answers at random, or with the server killed and started again, the process killed, or the
disk full (a small tmpfs, for which the machine's root is needed). A run must end whole and verified, or with an error
that names the object; where it was killed or ended so, a second call without faults must end whole. No wrong byte may
ever be at a file's place.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread

from rich.console import Console
from rich.table import Table

from boxwright.errors import BoxwrightError
from boxwright.storage import download, list_files

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "storage")]

import seaweed  # noqa: E402
from faulty import FAULTS, faulty  # noqa: E402

BUCKET = "faults"
SMALL, LARGE, LARGE_BYTES = 60, 2, 20_000_000
KINDS = (*FAULTS, "mixed", "lasting", "server_killed", "process_killed", "disk_full")


def fetch(environment: dict[str, str], folder: Path) -> None:
    """What a run does; ends as the command line does."""
    os.environ.update(environment)
    try:
        download(f"s3://{BUCKET}/set", list_files(f"s3://{BUCKET}/set"), folder / "out")
    except BoxwrightError as error:
        (folder.parent / "error").write_text(f"{type(error).__name__}: {error}")
        os._exit(error.exit_code)


class Soak:
    """The server, the objects, and one run after another."""

    def __init__(self, work: Path, seed: int) -> None:
        self.work, self.random = work, random.Random(seed)
        self.place = work / "server"
        self.ports = seaweed.free_ports(4)
        self.server = seaweed.start(self.place, ports=self.ports)
        self.content: dict[str, bytes] = {}

    def fill(self) -> None:
        """Puts the objects, one of the large ones in parts. obstore must not have run where processes are forked."""
        self.server.make_bucket(BUCKET)
        client = self.server.client()
        for i in range(SMALL):
            self.content[f"images/{i:02d}.jpg"] = self.random.randbytes(1_000 + 1_500 * i)
        for i in range(LARGE):
            self.content[f"large-{i}.bin"] = self.random.randbytes(LARGE_BYTES)
        for key, data in self.content.items():
            if key == "large-1.bin":
                client.upload_fileobj(io.BytesIO(data), BUCKET, f"set/{key}")
            else:
                client.put_object(Bucket=BUCKET, Key=f"set/{key}", Body=data)

    def one(self, kind: str) -> str:
        """One run; what became of it, or SystemExit where something is wrong."""
        folder = self.work / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with small_disk(folder, kind == "disk_full"), faulty(self.server.endpoint, self.chooser(kind)) as proxy:
            process = self.start(folder, proxy.endpoint)
            self.disturb(kind, process)
            text = self.wait(process)
            self.check(folder, kind)
            if process.exitcode == 0:
                self.check(folder, kind, whole=True)
                return "whole"
            if process.exitcode != -signal.SIGKILL and f"s3://{BUCKET}/set/" not in text:
                raise SystemExit(f"{kind}: expected an error that names the object, got\n{text}")
            if kind == "disk_full":
                return "error that names the object"
            proxy.choose = lambda *_: None
            again = self.start(folder, proxy.endpoint)
            text = self.wait(again)
            if again.exitcode:
                raise SystemExit(f"{kind}: expected that a second call ends well, got\n{text}")
            self.check(folder, kind, whole=True)
        return "killed, then whole" if process.exitcode < 0 else "error that names the object, then whole"

    def chooser(self, kind: str) -> Callable[[int, str], str | None]:
        """Which requests get which fault."""
        share, victim = self.random.uniform(0.05, 0.4), self.random.choice(list(self.content))
        draw = random.Random(self.random.random())
        if kind == "lasting":
            fault = draw.choice([fault for fault in FAULTS if fault != "slow"])
            return lambda _, path: fault if victim in path else None
        if kind in ("server_killed", "process_killed"):
            return lambda *_: "slow" if draw.random() < 0.5 else None
        faults = FAULTS if kind == "mixed" else (kind,) if kind in FAULTS else ()
        return lambda *_: draw.choice(faults) if faults and draw.random() < share else None

    def start(self, folder: Path, endpoint: str) -> BaseProcess:
        """A process that downloads."""
        own = {**self.server.environment, "AWS_ENDPOINT_URL": endpoint, "BOXWRIGHT_CACHE": str(folder / "cache")}
        (self.work / "error").unlink(missing_ok=True)
        process = get_context("fork").Process(target=fetch, args=(own, folder))
        process.start()
        return process

    def wait(self, process: BaseProcess) -> str:
        """Waits for the end; the error's text."""
        process.join(600)
        return (self.work / "error").read_text() if (self.work / "error").exists() else ""

    def disturb(self, kind: str, process: BaseProcess) -> None:
        """Kills what the kind says, at a moment of the transfer."""
        if kind == "process_killed":
            deadline = time.monotonic() + 60
            wanted = self.random.randrange(1, SMALL)
            while self.arrived() < wanted and process.is_alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            process.kill()
        elif kind == "server_killed":
            while self.arrived() < 5 and process.is_alive():
                time.sleep(0.01)
            self.server.stop()
            time.sleep(self.random.uniform(0.5, 3))
            self.server = seaweed.start(self.place, ports=self.ports)

    def arrived(self) -> int:
        return sum(1 for _ in (self.work / "run" / "out").rglob("*.*"))

    def check(self, folder: Path, kind: str, whole: bool = False) -> None:
        """No file with a wrong byte; with `whole`, all of them."""
        found = {p.relative_to(folder / "out").as_posix(): p for p in (folder / "out").rglob("*.*") if p.is_file()}
        for key, path in found.items():
            if not key.endswith(".part") and path.read_bytes() != self.content.get(key):
                raise SystemExit(f"{kind}: {key} has wrong bytes")
        if whole and found.keys() != self.content.keys():
            raise SystemExit(f"{kind}: expected {len(self.content)} files, found {len(found)}")


@contextmanager
def small_disk(folder: Path, wanted: bool) -> Iterator[None]:
    """A disk that fills up in the middle: its size is larger than what is asked for, and something else grows on it."""
    if not wanted:
        yield
        return
    total = SMALL * (1_000 + 750 * SMALL) + LARGE * LARGE_BYTES + 3_000_000
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={total}", "boxwright", str(folder)], check=True)
    stopped: list[bool] = []

    def grow() -> None:
        with (folder / "other").open("wb") as file:
            while not stopped:
                try:
                    file.write(bytes(1 << 20))
                    file.flush()
                except OSError:
                    time.sleep(0.02)
                if (folder / "out").exists() or any((folder / "cache" / "partial").glob("*")):
                    time.sleep(0.005)
                else:
                    file.truncate(0)
                    file.seek(0)
                    time.sleep(0.02)

    thread = Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        stopped.append(True)
        thread.join()
        subprocess.run(["umount", str(folder)], check=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "benchmarks" / "faults", help="working folder")
    given = parser.parse_args()
    shutil.rmtree(given.work, ignore_errors=True)
    (given.work / "server").mkdir(parents=True)
    soak, outcomes = Soak(given.work, given.seed), Counter[tuple[str, str]]()
    started = time.monotonic()
    try:
        soak.fill()
        for number in range(given.runs):
            kind = KINDS[number % len(KINDS)]
            outcomes[kind, soak.one(kind)] += 1
            print(f"{number + 1}/{given.runs} {kind}", file=sys.stderr, flush=True)
    finally:
        soak.server.stop()
    table = Table(
        "fault", "outcome", "runs", title=f"{given.runs} runs, {time.monotonic() - started:.0f} s, no wrong byte"
    )
    for (kind, outcome), count in sorted(outcomes.items()):
        table.add_row(kind, outcome, str(count))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
