"""Addresses of machines that train together, and whether they lead from one to the other."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress

from boxwright.errors import UsageError

ADDRESS_VARIABLE = "BOXWRIGHT_TRAINING_ADDRESS"
# For a connection, and for the word that is told on it.
SECONDS = 5.0
_MOST_PORT = 65535
# Nothing is sent there: the system says which of its addresses it would send from.
_DISCARD = 9


def own_address(toward: str) -> tuple[str, int]:
    """The host under which others reach this machine, and the port, 0 for any that is free.

    `BOXWRIGHT_TRAINING_ADDRESS` is `HOST`, `HOST:PORT` or `:PORT`; what it does not say is the address from which this
    machine speaks to `toward`.

    Args:
        toward: the host of a machine that others reach.

    Raises:
        UsageError: the variable is something else, or the host leads nowhere.
    """
    text = os.environ.get(ADDRESS_VARIABLE, "").strip()
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, "0"
    if not (port.isascii() and port.isdigit() and int(port) <= _MOST_PORT) or ":" in host or "/" in host:
        raise UsageError(f"{ADDRESS_VARIABLE}={text!a}: expected HOST, HOST:PORT or :PORT of this machine")
    return host or _source_address(toward), int(port)


def _source_address(host: str) -> str:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, _DISCARD))
            return str(probe.getsockname()[0])
    except OSError as error:
        raise UsageError(
            f"this machine has no address toward {host} ({error.strerror or error}): set {ADDRESS_VARIABLE} to the one "
            "at which other machines reach it"
        ) from None


class Listener:
    """Tells a word to whoever connects, so that others know that they reach this machine and no other program.

    Args:
        port: to listen at; 0 for one that is free.
        word: what is told.

    Raises:
        UsageError: another program has the port.
    """

    def __init__(self, port: int, word: str) -> None:
        try:
            # As TensorFlow's server does afterwards, at all of the machine's addresses.
            self._socket = socket.create_server(("", port))
        except OSError as error:
            raise UsageError(
                f"port {port} of this machine cannot be had ({error.strerror or error}): end the program that has it, "
                f"or set another one in {ADDRESS_VARIABLE}"
            ) from None
        self.port = int(self._socket.getsockname()[1])
        self._word = word.encode()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *error: object) -> None:
        # Closing alone does not wake a thread that waits for a connection.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(SECONDS)

    def _answer(self) -> None:
        while True:
            try:
                made, _ = self._socket.accept()
            except OSError:
                return
            with suppress(OSError), made:
                made.settimeout(SECONDS)
                made.sendall(self._word)


def why_not_reached(address: str, word: str) -> str:
    """Why a machine is not reached at `host:port`, in a few words; empty where it is, and tells the word."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), SECONDS) as made, made.makefile("rb") as stream:
            told = stream.read(len(word))
    except OSError as error:
        return str(error.strerror or error)
    return "" if told == word.encode() else "another program answers there"
