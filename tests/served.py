"""Real server processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx


@dataclass
class Served:
    """A server process.

    Attributes:
        url: where it listens.
        log: what it said so far, both streams.
    """

    url: str
    process: subprocess.Popen[str]
    log: list[str]

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, **({"timeout": 60} | options))

    def said(self, text: str, seconds: float = 60) -> bool:
        deadline = time.monotonic() + seconds
        while not any(text in line for line in self.log):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


@contextmanager
def serving(
    *arguments: str, environment: dict[str, str] | None = None, python: str = sys.executable
) -> Iterator[Served]:
    """`boxwright serve` on a free port, until the block ends."""
    command = [python, "-m", "boxwright", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
        env={**os.environ, **(environment or {})},
    )
    log: list[str] = []

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            log.append(line)

    reader = threading.Thread(target=read)
    reader.start()
    served = Served("", process, log)
    try:
        assert served.said(" on http://127.0.0.1:", 400), "".join(log)
        served.url = next(line for line in log if " on http://" in line).rpartition(" on ")[2].strip()
        yield served
    finally:
        process.kill()
        process.wait()
        reader.join()
