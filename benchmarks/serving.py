"""How fast a model is served, beside a bare loop over its SavedModel: `python -m benchmarks.serving MODEL IMAGES`.

Clients post JPEGs one after the other on kept connections (a closed loop); the bare loop calls the SavedModel's
signature on the same bytes in one process, one image at a time and eight at a time. Both run in turns of a few
seconds, so that what else the machine does falls on both. Latencies are in milliseconds.

With `--runtime tensorflow litert openvino` there is a server for each, in turns; without `tensorflow`, no bare loop.

Asked of the server in TensorFlow: at 8 clients at least 0.9 of the images per second of the faster bare loop, at 1
client a median of at most 5 ms or 5 % over the bare one. Asked of each: no error, and memory that does not grow.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
LEAST_SHARE, MOST_OVERHEAD_MS, MOST_OVERHEAD_SHARE = 0.9, 5.0, 0.05
WARM_UP_SECONDS = 3.0
TENSORFLOW = "tensorflow"
HEADERS = {"Content-Type": "application/x-image", "Accept": "application/json"}


@dataclass
class Measured:
    """What came of one subject, over all its turns."""

    seconds: float = 0.0
    images: int = 0
    errors: int = 0
    latencies: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.images / self.seconds

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.latencies, share)) * 1000


class Bare:
    """A process that loops over the SavedModel and nothing else."""

    def __init__(self, model: Path, images: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.serving", str(model), str(images), "--as-bare-loop"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stdout
        self.process.stdout.readline()

    def run(self, batch: int, seconds: float, into: Measured) -> None:
        assert self.process.stdin and self.process.stdout
        into.memory.append(_memory(self.process.pid))
        self.process.stdin.write(f"{batch} {seconds}\n")
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        into.seconds += told["seconds"]
        into.images += told["images"]
        into.latencies += told["latencies"]
        into.memory.append(_memory(self.process.pid))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def bare_loop(model: Path, images: Path) -> None:
    """The bare process: reads `batch seconds` lines, answers each with one of JSON."""
    import tensorflow as tf

    signature = tf.saved_model.load(str(model / "saved_model")).signatures["serving_default"]
    data = _images(images)
    for batch in (1, 8):
        signature(encoded_images=tf.constant(data[:batch]))
    print("ready", flush=True)
    for line in sys.stdin:
        batch, seconds = int(line.split()[0]), float(line.split()[1])
        latencies, done, started = [], 0, time.perf_counter()
        while (begun := time.perf_counter()) - started < seconds:
            chosen = [data[(done + i) % len(data)] for i in range(batch)]
            found = signature(encoded_images=tf.constant(chosen))
            _ = {name: value.numpy() for name, value in found.items()}
            latencies.append(time.perf_counter() - begun)
            done += batch
        told = {"seconds": time.perf_counter() - started, "images": done, "latencies": latencies}
        print(json.dumps(told), flush=True)


class Server:
    """`boxwright serve` in its own process."""

    def __init__(self, model: Path, runtime: str, settings: Sequence[str]) -> None:
        options = ["--runtime", runtime, *(part for setting in settings for part in ("--set", setting))]
        command = [sys.executable, "-m", "boxwright", "serve", "--model", str(model), "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stdout
        self.address = urlsplit(self.process.stdout.readline().split()[-1])

    def run(self, clients: int, seconds: float, data: list[bytes], into: Measured) -> None:
        into.memory.append(_memory(self.process.pid))
        lock, until, started = threading.Lock(), time.perf_counter() + seconds, time.perf_counter()

        def ask(first: int) -> None:
            connection = http.client.HTTPConnection(str(self.address.hostname), self.address.port, timeout=120)
            number = first
            while time.perf_counter() < until:
                begun = time.perf_counter()
                connection.request("POST", "/invocations", data[number % len(data)], HEADERS)
                answer = connection.getresponse()
                answer.read()
                taken = time.perf_counter() - begun
                number += clients
                with lock:
                    into.latencies.append(taken)
                    into.images += answer.status == 200
                    into.errors += answer.status != 200
            connection.close()

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        into.seconds += time.perf_counter() - started
        into.memory.append(_memory(self.process.pid))

    def batches(self) -> str:
        """The sizes of the batches so far, from the server's own counters."""
        connection = http.client.HTTPConnection(str(self.address.hostname), self.address.port, timeout=60)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        lines = [line.split() for line in text.splitlines() if line.startswith("boxwright_batch_images_bucket")]
        return "  ".join(f"{name.partition('le=')[2].strip('}')}: {float(value):.0f}" for name, value in lines)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def _memory(pid: int) -> float:
    """Resident memory in megabytes."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def _images(folder: Path) -> list[bytes]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return [path.read_bytes() for path in files]


def measure(given: argparse.Namespace) -> tuple[dict[int, Measured], dict[tuple[str, int], Measured], list[str]]:
    """The bare loops by batch, the servers by runtime and number of clients, and the batches of each server."""
    data, seconds = _images(given.images), given.seconds / given.turns
    bare = Bare(given.model, given.images) if TENSORFLOW in given.runtime else None
    servers = {name: Server(given.model, name, given.settings) for name in given.runtime}
    clients = sorted({1, 8, *given.clients})
    loops = {batch: Measured() for batch in (1, 8) if bare}
    served = {(name, count): Measured() for count in clients for name in servers}
    try:
        for batch in loops if bare else ():
            bare.run(batch, WARM_UP_SECONDS, Measured())
        for server in servers.values():
            server.run(max(clients), WARM_UP_SECONDS, data, Measured())
        for _ in range(given.turns):
            # Neighbours are what is compared.
            for count in clients:
                if bare and count in loops:
                    bare.run(count, seconds, loops[count])
                for name, server in servers.items():
                    server.run(count, seconds, data, served[name, count])
        told = [f"{name}: {server.batches()}" for name, server in servers.items()]
    finally:
        for one in (bare, *servers.values()):
            if one:
                one.stop()
    return loops, served, told


def show(loops: dict[int, Measured], served: dict[tuple[str, int], Measured], batches: Sequence[str]) -> bool:
    """Prints what came of it; returns whether it is what was asked for."""
    table = Table("subject", "p50", "p95", "p99", "images/s", "errors", "MB at start", "MB at end")
    rows = [(f"bare loop, {batch} at a time", one) for batch, one in loops.items()]
    rows += [(f"serve in {name}, {count} clients", one) for (name, count), one in served.items()]
    for name, one in rows:
        times = [f"{one.percentile(share):.1f}" for share in (50, 95, 99)]
        memory = [f"{one.memory[0]:.0f}", f"{one.memory[-1]:.0f}"]
        table.add_row(name, *times, f"{one.rate:.2f}", str(one.errors), *memory)
    console = Console(width=120)  # a pipe has none
    console.print(table)
    for told in batches:
        console.print(f"batches of at most: {told}")
    good = not any(one.errors for one in served.values())
    if not loops:
        return good
    share = served[TENSORFLOW, 8].rate / max(one.rate for one in loops.values())
    console.print(f"8 clients: {share:.2f} of the faster bare loop's images per second (asked: {LEAST_SHARE})")
    alone = loops[1].percentile(50)
    over = served[TENSORFLOW, 1].percentile(50) - alone
    console.print(f"1 client: median {over:+.1f} ms, {over / alone:+.1%} over the bare loop (asked: 5 ms or 5 %)")
    return good and share >= LEAST_SHARE and over <= max(MOST_OVERHEAD_MS, MOST_OVERHEAD_SHARE * alone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder with what is in a model.tar.gz")
    parser.add_argument("images", type=Path, help="folder of JPEGs and PNGs")
    parser.add_argument("--clients", type=int, nargs="+", default=[32], help="beside 1 and 8")
    parser.add_argument("--runtime", nargs="+", default=[TENSORFLOW], help="of serve")
    parser.add_argument("--seconds", type=float, default=60, help="for each number of clients")
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="of serve")
    parser.add_argument("--as-bare-loop", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.as_bare_loop:
        bare_loop(given.model, given.images)
        return
    sys.exit(0 if show(*measure(given)) else 1)


if __name__ == "__main__":
    main()
