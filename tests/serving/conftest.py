"""The model and the server that most tests of serving share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from finder import encoded, scene
from served import Served, serving

from boxwright.packaging.archive import pack
from boxwright.serving.engine.decoders import _Decoder
from boxwright.serving.engine.picture import Picture

Invoke = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def finder_archive(finder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "model.tar.gz"
    pack(finder, path)
    return path


@pytest.fixture(scope="session")
def server(finder_archive: Path) -> Iterator[Served]:
    """One server for all contract tests."""
    limits = ("max_body_mb=2", "max_megapixels=4", "body_timeout=3")
    with serving("--model", str(finder_archive), *(part for limit in limits for part in ("--set", limit))) as served:
        yield served


@pytest.fixture
def client(server: Served) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def invoke(client: httpx.Client) -> Invoke:
    """Posts an image to /invocations."""

    def post(data: bytes, accept: str = "application/json", kind: str = "application/x-image", **options: Any) -> Any:
        return client.post(
            "/invocations", content=data, headers={"Content-Type": kind, "Accept": accept}, params=options
        )

    return post


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """An image whose decoding never ends, on a machine of any speed: the process that got it is stopped (SIGSTOP)."""
    data = encoded(scene(300, 200), "PNG")
    read = _Decoder.read

    def reading(self: _Decoder, image: bytes, seconds: float) -> Picture:
        if image == data:
            self._wait_until_ready()
            assert self._process is not None
            os.kill(self._process.pid, signal.SIGSTOP)
        return read(self, image, seconds)

    monkeypatch.setattr(_Decoder, "read", reading)
    return data
