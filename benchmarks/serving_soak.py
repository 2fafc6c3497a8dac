"""What mutated requests do to a server: `python -m benchmarks.serving_soak MODEL IMAGES --runtime litert`.

Images are truncated, bit-flipped, spliced and padded; headers, parameters, methods and whole requests are odd. Asked
of the server: no status from 500 but the documented 503, an answer to everything that is HTTP, and memory that is at
the end what it was after the first tenth.
"""

from __future__ import annotations

import argparse
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil
from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = 4
MOST_GROWTH = 1.1
MOST_GROWTH_MB = 64
_KINDS = ("application/x-image", "image/jpeg", "image/png", "", "text/html", "image/png; a=b", "multipart/form-data")
_ACCEPTS = (
    "application/json",
    "application/json;verbose",
    "application/json;verbose;n_predictions=3;box_order=xyxy",
    "image/png",
    "application/json;n_predictions=-1",
    "application/json;box_order=\xff\xfe",
    "a/b;q=x, */*;q=nan",
    ";;;=,=,;q",
    "",
)
_THRESHOLDS = ("", "0.5", "model", "-1", "NaN", "1e400", "%00", "\u202e", "0.5&threshold=0.1")
_BODIES = (b"", b"\0" * 100, b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a" + b"\0" * 50, b"--x\r\n\r\n--x--")
_RAW = (
    b"GET / HTTP/9.9\r\n\r\n",
    b"\0\1\2\3\r\n\r\n",
    b"POST /invocations HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /invocations HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    b"DELETE /invocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
)


@dataclass
class Outcome:
    """What came of a soak.

    Attributes:
        statuses: how often each status came; 0 where the connection closed without one.
        bad: status and request of each that must not be.
        memory: in megabytes, of the server, after each tenth.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    bad: list[tuple[int, bytes]] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    @property
    def is_flat(self) -> bool:
        """Whether memory is at the end about what it was after the first tenth."""
        return self.memory[-1] <= max(MOST_GROWTH * self.memory[0], self.memory[0] + MOST_GROWTH_MB)


def mutated_image(choose: random.Random, images: Sequence[bytes]) -> bytes:
    """An image with something wrong; one in ten is whole."""
    data = bytearray(choose.choice(images))

    def flip() -> bytes:
        for _ in range(choose.choice((1, 3, 30, 300))):
            # Headers are short and decide most.
            place = choose.randrange(min(len(data), choose.choice((64, 700, len(data)))))
            data[place] ^= 1 << choose.randrange(8)
        return bytes(data)

    def overwrite() -> bytes:
        start = choose.randrange(len(data))
        data[start : start + choose.randrange(2000)] = choose.randbytes(choose.randrange(2000))
        return bytes(data)

    def splice() -> bytes:
        other = choose.choice(images)
        return bytes(data[: choose.randrange(len(data))]) + other[choose.randrange(len(other)) :]

    ways: list[Callable[[], bytes]] = [
        lambda: bytes(data),
        lambda: bytes(data[: choose.randrange(len(data))]),
        lambda: bytes(data[: choose.randrange(len(data))]),
        lambda: bytes(data) + choose.randbytes(choose.randrange(5000)),
        lambda: choose.choice(_BODIES),
        flip,
        flip,
        flip,
        overwrite,
        splice,
    ]
    return choose.choice(ways)()


def mutated_requests(seed: int, images: Sequence[bytes]) -> Iterator[bytes]:
    """Endless requests as they go over the wire, the same for the same seed; each asks to close the connection."""
    choose = random.Random(seed)
    while True:
        if choose.random() < 0.05:
            yield choose.choice(_RAW)
            continue
        body = mutated_image(choose, images)
        is_odd = choose.random() < 0.3
        kind = choose.choice(_KINDS) if is_odd else "application/x-image"
        accept = choose.choice(_ACCEPTS) if is_odd else choose.choice(_ACCEPTS[:4])
        query = f"?threshold={quote(choose.choice(_THRESHOLDS), safe='%&=')}" if is_odd else ""
        path = choose.choice(("/invocations", "/invocations", "/invocations/batch")) if is_odd else "/invocations"
        # A length that is not the body's: too long, and the server waits; too short, and the rest is left over.
        length = len(body) + (choose.choice((-3, 7)) if is_odd and choose.random() < 0.05 else 0)
        head = f"POST {path}{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {max(0, length)}\r\n"
        yield f"{head}Content-Type: {kind}\r\nAccept: {accept}\r\n\r\n".encode("latin-1", "replace") + body


def send(address: tuple[str, int], request: bytes) -> int:
    """The status of one request; 0 where the connection closes without one."""
    answer = b""
    with socket.create_connection(address, timeout=120) as connection:
        # Reset: the server answered before it had read everything, and closed.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        with suppress(ConnectionResetError):
            if request in _RAW:
                connection.shutdown(socket.SHUT_WR)
            while received := connection.recv(1 << 16):
                answer = answer or received
    return int(answer.split()[1]) if answer.startswith(b"HTTP/") else 0


def soak(url: str, pid: int, images: Sequence[bytes], count: int, seed: int = 0) -> Outcome:
    """Sends `count` mutated requests from several clients."""
    parts, outcome = urlsplit(url), Outcome()
    address = (str(parts.hostname), int(parts.port or 80))
    requests, process = mutated_requests(seed, images), psutil.Process(pid)
    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(10):
            chosen = list(islice(requests, count // 10))
            for request, status in zip(chosen, pool.map(lambda one: send(address, one), chosen), strict=True):
                outcome.statuses[status] += 1
                if (status >= 500 and status != 503) or (status == 0 and request not in _RAW):
                    outcome.bad.append((status, request))
            outcome.memory.append(process.memory_info().rss / 1e6)
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="as boxwright serve takes it")
    parser.add_argument("images", type=Path, help="folder of JPEGs and PNGs")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runtime", default="tensorflow", help="of serve")
    given = parser.parse_args()
    images = [path.read_bytes() for path in sorted(given.images.iterdir())[:20]]
    command = [sys.executable, "-m", "boxwright", "serve", "--model", given.model, "--port", "0"]
    command += ["--runtime", given.runtime]
    server = subprocess.Popen([*command, "--set", "body_timeout=2"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert server.stdout
        url, started = server.stdout.readline().split()[-1], time.monotonic()
        outcome = soak(url, server.pid, images, given.requests, given.seed)
    finally:
        server.terminate()
        server.wait(60)
    console = Console()
    console.print(f"{given.requests} requests in {time.monotonic() - started:.0f} s")
    console.print("  ".join(f"{status}: {count}" for status, count in sorted(outcome.statuses.items())))
    console.print("MB after each tenth: " + "  ".join(f"{value:.0f}" for value in outcome.memory))
    for status, request in outcome.bad[:10]:
        console.print(f"bad: {status} {request[:300]!r}", markup=False)
    sys.exit(0 if not outcome.bad and outcome.is_flat else 1)


if __name__ == "__main__":
    main()
