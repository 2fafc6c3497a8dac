"""Runs without Airflow: what each was started with, so that one that stopped, however it did, can go on."""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from boxwright.config import RunConfig, RunInfo, Settings, new_run
from boxwright.errors import DataError, GateError, UsageError
from boxwright.pipeline.machines import refuse_several_machines
from boxwright.storage import StoredRecord

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,119}")
_LOCK = "lock"
# What a process that runs it unattended writes beside the record: its log, and the result or nothing.
LOG, RESULT = "log.txt", "result.json"


class LocalRun(StoredRecord):
    """A run that `boxwright run` started.

    Attributes:
        run: its id and the moment that it stands for.
        config: what the user decided, dates in URIs not filled in yet.
        ended: whether it came to its end.
    """

    FILE: ClassVar[str] = "run.json"
    ADVICE: ClassVar[str] = "start a new run"

    run: RunInfo
    config: RunConfig
    ended: bool = False

    @property
    def folder(self) -> Path:
        """The folder of its record, in the home."""
        return _folder(self.run.run_id)

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values; of the configuration what was set, for a model's own defaults fill the rest."""
        return self.model_dump(mode="json", exclude={"config"}) | {"config": json.loads(self.config.to_json())}


def start_run(config: RunConfig, run_id: str | None = None) -> LocalRun:
    """A new run, kept in the home before it does anything.

    Args:
        config: what the user decided.
        run_id: its name; one of the present time if unset.

    Raises:
        UsageError: the name is not valid, or a run has it already; or it asks for several machines.
    """
    refuse_several_machines(config)
    if run_id is not None and not _RUN_ID.fullmatch(run_id):
        raise UsageError(
            f"--run-id {run_id!a}: expected a letter or digit, and then at most 119 letters, digits, '_', '.' or '-'"
        )
    local = LocalRun(run=new_run(run_id), config=config)
    try:
        _folder(local.run.run_id).mkdir(parents=True)
    except FileExistsError:
        raise UsageError(
            f"there is a run {run_id}: `boxwright run --resume {run_id}` goes on with it, or choose another --run-id"
        ) from None
    local.write(_folder(local.run.run_id))
    return local


def find_run(run_id: str | None = None) -> LocalRun:
    """A run that was started here.

    Args:
        run_id: its name; unset for the last one that has not come to its end.

    Raises:
        UsageError: there is no such run; it lists those that can go on.
    """
    stopped = [one for one in _runs() if not one.ended]
    if run_id is None and stopped:
        return stopped[-1]
    folder = _folder(run_id) if run_id and _RUN_ID.fullmatch(run_id) else None
    if folder and (folder / LocalRun.FILE).is_file():
        return LocalRun.read(folder)
    if run_id is None:
        raise UsageError(f"no run in {_root()} stopped before its end; start one with --dataset and --output")
    known = ", ".join(one.run.run_id for one in stopped[-10:]) or "none"
    raise UsageError(f"there is no run {run_id!a} in {_root()}; runs that can go on: {known}")


@contextmanager
def running(local: LocalRun) -> Iterator[None]:
    """Holds a run for this process, and notes that it came to its end if it does; a refused model is an end, too.

    Raises:
        UsageError: another process is at it.
    """
    folder = _folder(local.run.run_id)
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"run {local.run.run_id} is under way in another process; wait for its end") from None
        ended = local.model_copy(update={"ended": True})
        try:
            yield
        except GateError:
            ended.write(folder)
            raise
        ended.write(folder)


def _runs() -> list[LocalRun]:
    """The runs whose record can be read, the oldest first."""
    found = []
    for path in _root().glob(f"*/{LocalRun.FILE}"):
        try:
            found.append(LocalRun.read(path.parent))
        except DataError:
            # Killed while it was written, or of another version: it stands in nobody's way.
            continue
    return sorted(found, key=lambda one: one.run.as_of)


def _root() -> Path:
    return Settings.from_environment().home / "runs"


def _folder(run_id: str) -> Path:
    return _root() / run_id
