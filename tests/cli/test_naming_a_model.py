"""Commands about one model take it as their argument or as `--model`, and say so where they got none, or two."""

from __future__ import annotations

import sys

import pytest

from boxwright.cli import app as cli

COMMANDS = {
    "benchmark": ("--dataset", "nowhere"),
    "evaluate": ("--dataset", "nowhere"),
    "export": ("--format", "litert", "--output", "nowhere"),
    "serve": ("--port", "0"),
}


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def refused(command: str, *arguments: str) -> tuple[int, str]:
    """Exit code of a command that must fail, and what it printed as its error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["boxwright", command, *COMMANDS[command], *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return int(ended.value.code or 0), str(ended.value.__context__)


@pytest.mark.parametrize("naming", [("no-such/model.tar.gz",), ("--model", "no-such/model.tar.gz")])
def test_both_ways_name_the_model(command: str, naming: tuple[str, ...]) -> None:
    code, error = refused(command, *naming)
    assert (code, "no-such/model.tar.gz" in error) == (1, True)


def test_two_models_are_refused(command: str) -> None:
    code, error = refused(command, "one/model.tar.gz", "--model", "other/model.tar.gz")
    assert code == 2
    assert "one/model.tar.gz" in error and "other/model.tar.gz" in error


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"serve"}), indirect=True)
def test_no_model_is_refused(command: str) -> None:
    """`serve` has one of its own: the champion."""
    code, error = refused(command)
    assert code == 2
    assert "--model" in error and "boxwright registry list" in error
