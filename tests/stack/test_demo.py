from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from boxwright.airflow_api.client import TaskState
from boxwright.config.settings import Settings
from boxwright.errors import StorageError, UsageError
from boxwright.stack import demo, progress


class Runs:
    """The part of Airflow that holds runs; unpausing has put a scheduled one beside ours."""

    def __init__(self) -> None:
        self.found = {"demo-1": "queued", "scheduled__new": "running", "scheduled__old": "failed"}
        self.removed: list[str] = []
        self.is_away = False

    def runs(self, dag_id: str) -> dict[str, str]:
        if self.is_away:
            raise StorageError("Airflow does not answer")
        return dict(self.found)

    def remove_run(self, dag_id: str, run_id: str) -> None:
        self.removed.append(run_id)
        del self.found[run_id]


class Logs:
    """The part of Airflow that has logs: the last lines of one, as time goes by; the last one is not to be had."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def last_line(self, dag_id: str, run_id: str, task: TaskState) -> str:
        if len(self.lines) == 1:
            raise StorageError("Airflow does not answer")
        return self.lines.pop(0)


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


@pytest.mark.parametrize("first", ["training", "train"])
def test_sub_folders_are_the_splits(tmp_path: Path, first: str) -> None:
    for split in (first, "valid", "test"):
        touch(tmp_path / split / "annotations.json")
    found = demo._splits(str(tmp_path))
    names = {"training": first, "validation": "valid", "test": "test"}
    assert {split: Path(uri).name for split, uri in found.items()} == names


def test_a_dataset_without_splits_is_the_training_images(tmp_path: Path) -> None:
    touch(tmp_path / "annotations.json")
    touch(tmp_path / "test" / "annotations.json")
    assert demo._splits(str(tmp_path)) == {"training": str(tmp_path)}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        demo._place_dataset(Settings(home=tmp_path), Console(), str(tmp_path / "nowhere"), 10, "demo-1")


def test_only_the_runs_that_unpausing_made_are_removed_whenever_they_come() -> None:
    airflow = Runs()
    known = {"demo-1", "scheduled__old"}
    states = demo._without_unasked(airflow, known, iter([("queued", []), ("running", []), ("success", [])]))
    assert next(states)[0] == "queued" and airflow.removed == ["scheduled__new"]
    airflow.found["scheduled__newer"] = "queued"
    airflow.found["manual__by_a_person"] = "queued"
    assert [state for state, _ in states] == ["running", "success"]
    assert airflow.removed == ["scheduled__new", "scheduled__newer"]
    airflow.is_away = True
    assert list(demo._without_unasked(airflow, known, iter([("running", [])]))) == [("running", [])]


def test_without_a_terminal_every_change_is_one_line() -> None:
    text = io.StringIO()
    waiting, running = TaskState("a", "waiting", 0, 0), TaskState("a", "running", 1, 1)
    done = TaskState("a", "success", 4.4, 1)
    steps = [("queued", [waiting]), ("running", [running]), ("running", [running]), ("success", [done])]
    lines = progress.LastLines(Logs(["", "epoch=1/7 [x]", "late"]), "r", every=0)
    assert progress.show_run(Console(file=text, width=80), "r", steps, lines) == ("success", [done])
    assert text.getvalue().splitlines() == ["run r", "a running 1 s", "a: epoch=1/7 [x]", "a success 4 s"]


def test_airflow_is_asked_for_logs_from_time_to_time() -> None:
    running = TaskState("a", "running", 1, 1)
    lines = progress.LastLines(Logs(["first", "second"]), "r", every=3600)
    assert [lines.of([running]) for _ in range(2)] == [{"a": "first"}] * 2


def test_brackets_in_names_are_shown_as_they_are() -> None:
    text = io.StringIO()
    console = Console(file=text, width=100)
    progress.show_run(console, "[/run]", [("success", [])], progress.LastLines(Logs([]), "[/run]", every=0))
    console.print(progress.metrics("cells [v2] version 3", "test", {"AP": 0.5}, {"[red]cell": 0.25}))
    shown = text.getvalue()
    assert all(name in shown for name in ("run [/run]", "cells [v2] version 3", "AP50 of [red]cell"))
