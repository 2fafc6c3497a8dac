"""TLS for ML Metadata's connections to PostgreSQL, whose client was built without it: a relay on a local socket.

The relay encrypts what comes in there, and checks the server's certificate as libpq would. It is a process of its own,
since ML Metadata holds Python's lock while it waits for an answer; it ends with the process that started it.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import ssl
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxwright.errors import StorageError

# What a client of PostgreSQL asks with whether the server takes TLS: length and code of the message.
_REQUEST = struct.pack("!ii", 8, 80877103)
_CHUNK = 1 << 16
# Of the socket's name, which libpq makes of it: `.s.PGSQL.1`.
PORT = "1"


@dataclass
class _Relay:
    process: subprocess.Popen[bytes]
    folder: str
    owner: int


_relays: dict[str, _Relay] = {}


def relay_to(parameters: Mapping[str, str]) -> str:
    """The folder of a socket that leads to a server through TLS; one for each server and process.

    Args:
        parameters: of libpq; its host, port and TLS options are used.

    Raises:
        StorageError: the relay does not start.
    """
    wanted = {
        name: value for name, value in parameters.items() if name in ("host", "hostaddr", "port") or name[:3] == "ssl"
    }
    key = json.dumps(wanted, sort_keys=True)
    known = _relays.get(key)
    if known is None or known.owner != os.getpid() or known.process.poll() is not None:
        known = _relays[key] = _start(wanted)
    return known.folder


def _start(wanted: Mapping[str, str]) -> _Relay:
    folder = tempfile.mkdtemp(prefix="bw-tls-")
    # Without the environment's PYTHONPATH it would be another Boxwright's, or none.
    command = [sys.executable, "-P", "-m", "boxwright.metadata.tls_relay", folder]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps(wanted).encode() + b"\n")
    process.stdin.flush()
    if process.stdout.readline().strip() != b"ready":
        raise StorageError("the relay that gives ML Metadata TLS does not start; see the lines above")
    atexit.register(_end, process)
    return _Relay(process, folder, os.getpid())


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        process.kill()
        process.wait(5)


def context_of(wanted: Mapping[str, str]) -> ssl.SSLContext:
    """TLS as libpq's options of these names have it.

    Args:
        wanted: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `sslpassword`, each as far as it is set.

    Raises:
        OSError, ssl.SSLError: a file of theirs cannot be read.
    """
    mode, root = wanted.get("sslmode", "prefer"), wanted.get("sslrootcert")
    default_root = Path.home() / ".postgresql" / "root.crt"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # With a root certificate, libpq checks for `require` what it does for `verify-ca`.
    if mode in ("verify-ca", "verify-full") or (mode == "require" and root):
        context.verify_mode = ssl.CERT_REQUIRED
        if root == "system":
            context.load_default_certs()
        else:
            context.load_verify_locations(root or default_root)
    context.check_hostname = mode == "verify-full"
    if "sslcert" in wanted:
        context.load_cert_chain(wanted["sslcert"], wanted.get("sslkey"), wanted.get("sslpassword"))
    return context


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, ssl.SSLError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _first_answer(reader: asyncio.StreamReader) -> bytes:
    """The server's first message, without the log-in methods that are bound to the TLS channel, which the client lacks.

    https://www.postgresql.org/docs/16/protocol-message-formats.html: a letter, the length without it, the content; of
    `R` with the code 10, names of ways that each end with a zero.
    """
    head = await reader.readexactly(5)
    content = await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
    if head[:1] != b"R" or content[:4] != struct.pack("!i", 10):
        return head + content
    names = [name for name in content[4:].split(b"\0") if name and not name.endswith(b"-PLUS")]
    content = content[:4] + b"".join(name + b"\0" for name in names) + b"\0"
    return b"R" + struct.pack("!i", len(content) + 4) + content


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        writer.write(await _first_answer(reader))
    await _pass_on(reader, writer)


async def _serve(folder: str, wanted: Mapping[str, str]) -> None:
    context = context_of(wanted)

    async def relay(near_reader: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        try:
            reader, writer = await asyncio.open_connection(
                wanted.get("hostaddr") or wanted["host"], int(wanted["port"])
            )
            writer.write(_REQUEST)
            if await reader.readexactly(1) != b"S":
                raise ConnectionError("the server takes no TLS")
            await writer.start_tls(context, server_hostname=wanted["host"])
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError) as error:
            print(f"error: TLS for ML Metadata: {error}", file=sys.stderr, flush=True)
            near_writer.close()
            return
        await asyncio.gather(_pass_on(near_reader, writer), _answers(reader, near_writer))

    server = await asyncio.start_unix_server(relay, str(Path(folder, f".s.PGSQL.{PORT}")))
    print("ready", flush=True)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    # Standard input ends with the process that has started this one.
    loop.add_reader(0, lambda: None if os.read(0, _CHUNK) else ended.set())
    async with server:
        await ended.wait()


def main() -> None:
    """Relays until standard input ends; its first line has the parameters, its only argument is the socket's folder."""
    folder = sys.argv[1]
    wanted: dict[str, Any] = json.loads(os.fdopen(0, "rb", buffering=0, closefd=False).readline())
    try:
        asyncio.run(_serve(folder, wanted))
    except (OSError, ssl.SSLError) as error:
        print(f"error: TLS for ML Metadata: {error}", file=sys.stderr)
        sys.exit(1)
    finally:
        for path in (Path(folder, f".s.PGSQL.{PORT}"), Path(folder)):
            with suppress(OSError):
                path.unlink() if path.is_socket() else path.rmdir()


if __name__ == "__main__":
    main()
