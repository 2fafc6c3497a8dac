"""A served model in each runtime: seconds until it answers, memory, and milliseconds of an answer.

`python -m benchmarks.runtimes MODEL IMAGE` starts a server in each runtime in turns, and asks it by one client, one
request after the other. The first start of a runtime on a machine exports the model, and is a row of its own.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from boxwright.api.server import start_server

RUNTIMES = ("tensorflow", "litert", "openvino")
REQUESTS, WARM = 60, 10


def measure(model: str, image: bytes, runtime: str) -> tuple[float, float, list[float]]:
    """Seconds until ready, megabytes of the server's process, and seconds of each answer once it is warm."""
    began = time.perf_counter()
    with start_server(model, 0, {"runtime": runtime}) as server:
        ready = time.perf_counter() - began
        seconds = []
        with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
            for _ in range(REQUESTS):
                asked = time.perf_counter()
                client.post("/invocations", content=image, headers={"Content-Type": "image/jpeg"}).raise_for_status()
                seconds.append(time.perf_counter() - asked)
        memory = psutil.Process(server.pid).memory_info().rss / 1e6
    return ready, memory, seconds[WARM:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="models:/NAME/VERSION or a model.tar.gz")
    parser.add_argument("image", type=Path, help="a JPEG")
    parser.add_argument("--turns", type=int, default=2)
    given = parser.parse_args()
    table = Table("turn", "runtime", "s until ready", "MB", "ms an answer: median", "best")
    for turn in range(1, given.turns + 1):
        for runtime in RUNTIMES:
            ready, memory, seconds = measure(given.model, given.image.read_bytes(), runtime)
            times = (f"{1000 * statistics.median(seconds):.0f}", f"{1000 * min(seconds):.0f}")
            table.add_row(str(turn), runtime, f"{ready:.1f}", f"{memory:.0f}", *times)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
