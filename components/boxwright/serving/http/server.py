"""One server process: loads the model, listens, and on a signal finishes what is under way."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn

from boxwright.config import ServingConfig
from boxwright.errors import StorageError, UsageError
from boxwright.registry import resolve_model
from boxwright.serving.engine import Engine, Follower, Telemetry, followed, load_as_set, settle_memory
from boxwright.serving.http.app import create_app
from boxwright.serving.http.connection import bounded_connection
from boxwright.serving.http.repeated import tell_once

_LOOPBACK = ("127.", "::1", "localhost")
# Beyond `stop_timeout`: what is left to do when all requests are answered or given up.
_SECONDS_TO_END = 3.0
_EXIT_CODE_OF_THE_HUNG = 1
_log = logging.getLogger("boxwright")


def serve(
    reference: str, config: ServingConfig, token: str | None, on_ready: Callable[[str, str], None] = lambda *_: None
) -> None:
    """Serves a model until SIGTERM or SIGINT.

    Args:
        reference: `models:/name/3`, `models:/name@champion`, an archive's URI, or a folder with what is in one.
        config: where and within which limits.
        token: that clients must bear; None for none.
        on_ready: called with the server's URL and the model's reference once it listens.

    Raises:
        UsageError: the reference, address or port is wrong.
        DataError, StorageError: the model cannot be loaded.
    """
    if config.follow:
        followed(reference)
    if token is None and not config.host.startswith(_LOOPBACK):
        _log.warning("listening on %s without a token: whoever reaches this machine can use the model", config.host)
    tell_once()
    with listening(config) as listener:
        source = resolve_model(reference)
        _log.info("loading %s", source.reference)
        engine = Engine(load_as_set(source, config), config, Telemetry())
        settle_memory()
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        with _own_exit_code():
            asyncio.run(_run(engine, reference, config, token, listener, lambda: on_ready(url, source.reference)))


async def _run(
    engine: Engine,
    reference: str,
    config: ServingConfig,
    token: str | None,
    listener: socket.socket,
    on_ready: Callable[[], None],
) -> None:
    server = _Server(
        uvicorn.Config(
            create_app(engine, token),
            # Over h11, which bounds the headers; the faster one does not.
            http=bounded_connection(config),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=config.stop_timeout,
        ),
        on_ready,
    )
    watch = asyncio.create_task(Follower(reference, engine, config.follow_seconds).run()) if config.follow else None
    try:
        await server.serve([listener])
    finally:
        if watch:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch


class _Server(uvicorn.Server):
    """Tells when it listens, and ends in time after a signal, whatever hangs."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._is_ending = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if not self._is_ending:
            self._is_ending = True
            seconds = (self.config.timeout_graceful_shutdown or 0) + _SECONDS_TO_END
            threading.Thread(target=_end_after, args=(seconds,), name="stop", daemon=True).start()


def _end_after(seconds: float) -> None:
    time.sleep(seconds)
    # What hangs is a model call or a decoder, in code that cannot be interrupted.
    _log.error("the server did not stop within %g s: requests under way are given up", seconds)
    logging.shutdown()
    os._exit(_EXIT_CODE_OF_THE_HUNG)


@contextmanager
def listening(config: ServingConfig) -> Iterator[socket.socket]:
    """The bound socket: a port in use is told before a model is loaded. It listens when the model is there."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # Named TCP, or asyncio leaves Nagle's algorithm on, and each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.host, config.port))
    except socket.gaierror as error:
        listener.close()
        raise UsageError(f"host {config.host!a} is not an address of this machine: {error.strerror}") from None
    except OSError as error:
        listener.close()
        kind = UsageError if isinstance(error, PermissionError) else StorageError
        raise kind(
            f"cannot listen on {config.host}:{config.port}: {error.strerror}; choose another --port or --host"
        ) from None
    with listener:
        yield listener


@contextmanager
def _own_exit_code() -> Iterator[None]:
    """Lets a stop that was asked for end the process with 0: uvicorn raises the signal again after it has stopped."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
