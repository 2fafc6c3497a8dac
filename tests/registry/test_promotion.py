"""Who is champion: decided once, by compare-and-set, kept over crashes, and right between machines."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from boxwright.cli import app as cli
from boxwright.errors import StorageError, UsageError
from boxwright.registry.opening import open_registry
from boxwright.registry.port import Registry, Release

MakeRelease = Callable[..., Release]


def alias(registry: Registry, name: str) -> int | None:
    return registry.aliases("detector").get(name)


@pytest.fixture
def three(registry: Registry, release: MakeRelease) -> Registry:
    """Champion 3, before it 2, before it 1."""
    for month, ap in ((1, 0.4), (2, 0.5), (3, 0.6)):
        registry.register(release(f"run-{month}", f"2025-0{month}-01", ap=ap))
    return registry


def test_the_champion_before_is_kept(three: Registry, release: MakeRelease) -> None:
    assert three.aliases("detector") == {"candidate": 3, "champion": 3, "previous": 2}
    three.register(release("worse", "2025-04-01", ap=0.1))
    three.register(release("past", "2024-01-01", ap=0.9))
    assert three.aliases("detector") == {"candidate": 5, "champion": 3, "previous": 2}


def test_a_person_promotes_and_rolls_back(three: Registry) -> None:
    version, before = three.promote("models:/detector/1")
    assert (version.version, before and before.version) == (1, 3)
    assert (alias(three, "champion"), alias(three, "previous")) == (1, 3)
    assert three.promote("models:/detector/1") == (version, version), "and again changes nothing"
    assert (alias(three, "champion"), alias(three, "previous")) == (1, 3)
    went, came = three.rollback("detector")
    assert (went.version, came.version) == (1, 3)
    assert (alias(three, "champion"), alias(three, "previous")) == (3, 1)


def test_a_promotion_compares_before_it_sets(three: Registry) -> None:
    with pytest.raises(UsageError, match="champion of detector is models:/detector/3, not version 2"):
        three.promote("models:/detector/1", expected=2)
    assert alias(three, "champion") == 3
    with pytest.raises(UsageError, match="champion of detector is models:/detector/3, not none"):
        three.promote("models:/detector/1", expected=0)
    with pytest.raises(UsageError, match="champion of detector is models:/detector/3, not version 2"):
        three.rollback("detector", expected=2)
    three.promote("models:/detector/1", expected=3)
    assert alias(three, "champion") == 1


def test_a_rejected_champion_goes_and_is_nobodys_parent(three: Registry, release: MakeRelease) -> None:
    three.rollback("detector", reject=True)
    assert three.aliases("detector") == {"champion": 2, "candidate": 2}
    newest = three.newest_accepted("detector", datetime(2100, 1, 1, tzinfo=UTC))
    assert newest is not None and newest.version == 2
    with pytest.raises(UsageError, match=r"models:/detector/3 did not pass its gate or was rejected"):
        three.promote("models:/detector/3")
    with pytest.raises(UsageError, match="no previous champion"):
        three.rollback("detector")
    three.register(release("run-3"))
    assert alias(three, "champion") == 2, "a repeated step does not undo a person's decision"


def test_rolling_back_needs_a_model(registry: Registry) -> None:
    with pytest.raises(UsageError, match="no model detector has a version; registered are none"):
        registry.rollback("detector")


def test_a_crash_in_a_roll_back_loses_no_champion(three: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    real = three._client.set_alias

    def crash(*arguments: Any) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(three._client, "set_alias", crash)
        with pytest.raises(KeyboardInterrupt):
            three.rollback("detector")
    assert alias(three, "champion") == 2
    with pytest.raises(UsageError, match="no previous champion"):
        three.rollback("detector")


class Overtaken:
    """Another machine, which no lock holds back, acts right before this one writes the champion."""

    def __init__(self, machine: Registry, act: Callable[[], Any]) -> None:
        self.act: Callable[[], Any] | None = act
        real = machine._client.set_alias

        def overtaken(name: str, alias: str, version: int) -> None:
            if alias == "champion" and self.act:
                act, self.act = self.act, None
                act()
            real(name, alias, version)

        machine._client.set_alias = overtaken


@pytest.fixture
def machine(tracking_uri: str) -> Callable[[], Registry]:
    """Opens the registry as another machine does, which no lock holds back."""

    def opened() -> Registry:
        other = open_registry(tracking_uri)
        other._lock = contextlib.nullcontext()
        return other

    return opened


@pytest.mark.parametrize(("mine", "theirs", "champion"), [(0.6, 0.7, 3), (0.7, 0.6, 2)])
def test_of_two_machines_neither_loses_a_better_champion(
    mine: float, theirs: float, champion: int, machine: Callable[[], Registry], release: MakeRelease
) -> None:
    registry, other = machine(), machine()
    registry.register(release("first", "2025-03-01", ap=0.5))
    overtaken = Overtaken(registry, lambda: other.register(release("theirs", "2025-03-02", ap=theirs)))
    registry.register(release("mine", "2025-03-02", ap=mine))
    assert overtaken.act is None
    assert [version.run_id for version in registry.versions("detector")] == ["first", "mine", "theirs"]
    assert registry.aliases("detector") | {"previous": 0} == {"candidate": 3, "champion": champion, "previous": 0}


def test_a_machine_that_overwrites_a_roll_back_does_not_bring_the_bad_one_back(
    three: Registry, release: MakeRelease, machine: Callable[[], Registry]
) -> None:
    three.rollback("detector")  # 3 is the best by AP, and a person took it down
    mine, theirs = machine(), machine()
    Overtaken(mine, lambda: theirs.register(release("theirs", "2025-04-01", ap=0.51)))
    mine.register(release("mine", "2025-04-01", ap=0.52))
    assert alias(three, "champion") == 4, "mine; 3 was settled before"


def test_two_people_on_two_machines_are_told(three: Registry, machine: Callable[[], Registry]) -> None:
    mine, theirs = machine(), machine()
    real = mine._client.set_alias

    def late(name: str, alias: str, version: int) -> None:
        real(name, alias, version)
        if alias == "champion":
            theirs.promote("models:/detector/2")

    mine._client.set_alias = late
    with pytest.raises(StorageError, match="made models:/detector/2 the champion just after models:/detector/1;"):
        mine.promote("models:/detector/1")
    assert three.aliases("detector")["champion"] == 2


def test_an_alias_that_another_machine_makes_at_once_is_set_again(registry: Registry, release: MakeRelease) -> None:
    real = registry._client.set_alias
    failed: list[str] = []

    def clash(name: str, alias: str, version: int) -> None:
        if alias not in failed:
            failed.append(alias)
            raise StorageError("(sqlite3.IntegrityError) UNIQUE constraint failed: registered_model_aliases")
        real(name, alias, version)

    registry._client.set_alias = clash
    registry.register(release("run-1"))
    assert failed == ["candidate", "champion"]
    assert registry.aliases("detector") == {"candidate": 1, "champion": 1}


@pytest.fixture
def boxwright(tracking_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command line in this process: (exit code, stdout, stderr)."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["boxwright", "registry", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_the_command_line_lists_and_shows(three: Registry, release: MakeRelease, boxwright: Any) -> None:
    three.register(release("failed-its-gate", "2025-04-01", accepted=False))
    code, printed, _ = boxwright("list", "detector", "--json")
    rows = json.loads(printed)
    assert (code, [row["reference"][-1] for row in rows]) == (0, ["4", "3", "2", "1"])
    assert [(row["aliases"], row["accepted"]) for row in rows[:3]] == [
        ([], False),
        (["candidate", "champion"], True),
        (["previous"], True),
    ]
    assert [row["reference"] for row in json.loads(boxwright("list", "--json")[1])] == ["models:/detector/3"]
    table = boxwright("list", "detector")[1]
    assert "candidate, champion" in table and "failed-its-gate" in table and "0.600" in table

    facts = json.loads(boxwright("show", "models:/detector@champion", "--json")[1])
    assert facts["run_id"] == "run-3" and facts["metrics"]["AP50"] == pytest.approx(0.7)
    assert facts["label_map"]["labels"][0] == "RBC" and facts["config"]["training"] == "s3://data/train"
    assert "retinanet-efficientnet-lite0-320" in boxwright("show", "models:/detector/1")[1]


def test_the_command_line_moves_the_champion(three: Registry, boxwright: Any) -> None:
    assert (
        "champion is models:/detector/1, before it was models:/detector/3"
        in boxwright("promote", "models:/detector/1", "--expect", "3")[1]
    )
    code, _, error = boxwright("promote", "models:/detector/2", "--expect", "3")
    assert (code, "not version 3" in error) == (2, True)
    moved = json.loads(boxwright("rollback", "detector", "--json")[1])
    assert moved == {"champion": "models:/detector/3", "before": "models:/detector/1"}
    code, _, error = boxwright("show", "models:/detector/9")
    assert code == 2 and "detector has 1, 2, 3, @candidate (3)" in " ".join(error.split())
