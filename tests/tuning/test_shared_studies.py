"""A study in PostgreSQL, which workers of several machines ask at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from asking import DIES, TRIALS, open_study
from postgres_server import Postgres

from boxwright.config import TUNING_URI, MetadataAddress
from boxwright.metadata import make_database
from boxwright.tuning.records import TrialState

ASKING = Path(__file__).with_name("asking.py")


def worker(how: str, *slots: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, str(ASKING), how, *slots], stdout=subprocess.PIPE, text=True)


def numbers(one: subprocess.Popen[str]) -> list[int]:
    out, _ = one.communicate(timeout=240)
    assert one.returncode == 0
    return [int(line) for line in out.split()]


def test_workers_that_ask_at_once_get_trials_of_their_own_and_one_that_died_goes_on_with_its_own(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = postgres.new_database()
    make_database(MetadataAddress.parse(uri))
    monkeypatch.setenv(TUNING_URI, uri)
    study = open_study()
    first, second, lost = worker("ends", *"abcd"), worker("ends", *"efgh"), worker(DIES, "i")
    assert lost.wait(240) == -signal.SIGKILL
    found = numbers(first) + numbers(second)
    assert len(set(found)) == 8
    (left,) = [one for one in study.trials() if one.state is TrialState.RUNNING]
    assert sorted([*found, left.number]) == list(range(9)) and left.curve == {1: 0.1}
    assert numbers(worker("ends", "i", "k", "l", "m")) == [left.number, 9, 10, 11]
    assert {(one.state, one.value) for one in study.trials()} == {
        (TrialState.COMPLETE, 0.01 * number) for number in range(TRIALS)
    }
    assert study.ended(1) == f"{TRIALS} trials"
    assert {*postgres.query(uri, "SELECT study_name FROM studies")} == {("s",)}
