"""`boxwright serve` started in a wrong way: one line, an exit code, and no server."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest

from boxwright.cli import app as cli
from boxwright.config.settings import Settings


@pytest.fixture
def serve(home: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `boxwright serve`: (exit code, the error line)."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["boxwright", "serve", "--port", "0", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        return int(ended.value.code or 0), errors[-1]

    return run


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("--set", "max_batch=0"), 2, "max_batch"),
        (("--set", "max_bath=8"), 2, "max_batch"),
        (("--set", "max_batch"), 2, "NAME=VALUE"),
        (("--port", "70000"), 2, "port"),
        (("--follow", "--model", "models:/detector/3"), 2, "models:/detector@champion"),
        (("--host", "no-such-host.invalid"), 2, "no-such-host.invalid"),
        (("--model", "models:/nobody@champion"), 2, "nobody"),
        (("--model", "ftp://x/y"), 2, "ftp://"),
        (("--model", "nowhere/model.tar.gz"), 1, "nowhere/model.tar.gz"),
    ],
)
def test_mistakes_are_named(serve: Any, arguments: tuple[str, ...], code: int, reason: str) -> None:
    ended, error = serve(*arguments)
    assert ended == code
    assert reason in error


def test_a_port_in_use_is_told_before_a_model_is_loaded(serve: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, error = serve("--port", taken.getsockname()[1], "--model", "nowhere/model.tar.gz")
    assert code == 4
    assert "cannot listen on 127.0.0.1" in error and "--port" in error


@pytest.mark.parametrize("token", ["short", "long-enough-but\nbroken", "long-enough-but-ünïcode"])
def test_a_weak_token_is_refused_and_not_shown(serve: Any, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXWRIGHT_TOKEN", token)
    code, error = serve("--model", "nowhere/model.tar.gz")
    assert code == 2
    assert "BOXWRIGHT_TOKEN" in error and token not in error
