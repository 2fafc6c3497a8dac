"""Serves a model to the one process that started this one, and ends with it.

`python -m boxwright.serving.http.private_server models:/detector/3`, with the token in BOXWRIGHT_TOKEN. The parent
keeps stdin open: a parent that is killed lets go of it like one that closes it. stdout has one line of JSON, see
`Message`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from _thread import interrupt_main
from typing import TypedDict

from boxwright.config import ServingConfig, parse_record
from boxwright.errors import BoxwrightError
from boxwright.quiet import quieten

TOKEN_VARIABLE = "BOXWRIGHT_TOKEN"  # noqa: S105 - a name
# One person looks at one image at a time; a few may do so at once. The size limits are those of `boxwright serve`.
LIMITS = {"host": "127.0.0.1", "port": 0, "max_batch": 1, "max_queue": 4, "stop_timeout": 5}
_NICENESS = 5
_SECONDS_TO_END = 10.0


class Message(TypedDict, total=False):
    """A message to the parent process: the address of the model, or the reason why there is none.

    Attributes:
        url: of the server, once the model is loaded and checked.
        reference: the model's.
        error: one line for a person.
        retryable: whether it may go better without a change.
    """

    url: str
    reference: str
    error: str
    retryable: bool


def main() -> int:
    """Serves until the parent lets go; returns the exit code."""
    (reference,) = sys.argv[1:]
    # Of the machine's cores, the parent's requests come first.
    os.nice(_NICENESS)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    quieten()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    try:
        return _serve(reference, os.environ.pop(TOKEN_VARIABLE))
    except KeyboardInterrupt:
        return 0


def _serve(reference: str, token: str) -> int:
    try:
        from boxwright.serving.http.server import serve

        serve(reference, parse_record(ServingConfig, LIMITS), token, lambda url, name: _tell(url=url, reference=name))
    except BoxwrightError as error:
        _tell(error=str(error), retryable=error.retryable)
        return error.exit_code
    return 0


def _tell(**message: str | bool) -> None:
    print(json.dumps(message), flush=True)


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    # As Ctrl-C would, so that an archive that is being unpacked is not left behind.
    interrupt_main()
    time.sleep(_SECONDS_TO_END)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
