"""Lets Atheris look for bytes that break parsers: `python tests/fuzzing/with_atheris.py SECONDS [NAME...]`.

Each parser has so many seconds, in a process of its own. Atheris is no dependency of Boxwright: `pip install atheris`.
What it finds it writes as `crash-*`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["boxwright"]):
    from foreign_bytes import EXPECTED, PARSERS


def main() -> int:
    """The exit code: 1 if a parser raised what it should not."""
    seconds, names = sys.argv[1], sys.argv[2:] or list(PARSERS)
    broken = [name for name in names if _fuzz(name, seconds) != 0]
    print(f"{len(names)} parsers, {seconds} s each; broken: {', '.join(broken) or 'none'}")
    return bool(broken)


def _fuzz(name: str, seconds: str) -> int:
    print(f"{name} for {seconds} s", flush=True)
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    parser, corpus = PARSERS[name], Path("build/fuzzing", name.replace(" ", "-"))

    def attempt(data: bytes) -> None:
        try:
            parser.parse(data)
        except EXPECTED as error:
            assert "\n" not in str(error), str(error)

    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / "example").write_bytes(parser.example)
    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={seconds}", "-max_len=4096"], attempt)
    atheris.Fuzz()  # which ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main())
