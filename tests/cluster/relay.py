"""Carries connections between a network namespace and this machine: `python relay.py inside|outside FOLDER PORT ...`.

Inside, it listens on the ports of the servers, and hands each connection on through a Unix socket of the folder;
outside, it takes them from there to the servers. While the inner one is stopped, the network is cut as a broken cable
cuts it: what is open stays open, and nothing comes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

HOST = "127.0.0.1"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.write_eof()


async def _join(
    near: tuple[asyncio.StreamReader, asyncio.StreamWriter], far: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    await asyncio.gather(_carry(near[0], far[1]), _carry(far[0], near[1]))
    for _, writer in (near, far):
        writer.close()


def _kept(handle: Handler) -> Handler:
    """A handler whose connections the garbage collector leaves alone: nothing else refers to them while they wait."""
    tasks: set[asyncio.Future[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    return serve


async def _inside(folder: Path, port: int) -> asyncio.Server:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _join((reader, writer), await asyncio.open_unix_connection(folder / str(port)))

    return await asyncio.start_server(_kept(handle), HOST, port)


async def _outside(folder: Path, port: int) -> asyncio.Server:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far = await asyncio.open_connection(HOST, port)
        except OSError:  # the server is away: so is the connection
            writer.close()
            return
        await _join((reader, writer), far)

    return await asyncio.start_unix_server(_kept(handle), folder / str(port))


async def _main(side: str, folder: Path, ports: list[int]) -> None:
    listen = {"inside": _inside, "outside": _outside}[side]
    servers = [await listen(folder, port) for port in ports]
    (folder / side).touch()
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2]), [int(port) for port in sys.argv[3:]]))
