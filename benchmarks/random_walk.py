"""Whether the embedded stack stands people: `python -m benchmarks.random_walk [--minutes 120] [--seed 0]`.

For so many minutes it does at random, with one training always under way, what people do in Airflow: starts runs, as
the form does and from the page of an earlier run, announces datasets (some are not there), backfills weeks, clears
tasks, stops trainings, and looks at pages. Then all runs have to end: they are stuck when no task of any of them ends
for 15 minutes. It counts what must not be: services that died, runs that are stuck, answers of 5xx, "database is
locked" anywhere that a person reads, and tasks that failed for another reason than what was done to them. The exit code
is 1 if there is any. The stack is one of its own, in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from benchmarks import quick_run
from boxwright.airflow_api import DAG_ID, AirflowClient
from boxwright.config import Settings
from boxwright.dataset.sample import generate_sample
from boxwright.errors import StorageError, UsageError
from boxwright.stack import manager, reaching, upload_dataset
from boxwright.stack.environment import ADMIN, Stack

DATASET = "s3://boxwright/datasets/walk"
FIRST_WEEK = datetime(2026, 1, 5, 3, tzinfo=UTC)
WEEKS = 20
ACTIVE = 10  # runs at which no more are started
PAUSE = (1.0, 8.0)  # seconds between two things done
QUICK = quick_run.QUICK | {"training": f"{DATASET}/training"}
OPEN = ("queued", "running")
ENDED = ("success", "failed", "skipped", "upstream_failed")  # of tasks; others may change for ever, as those that poll
# Why a task may fail here: it was stopped or killed as somebody asked, the data is not there, or a model that an event
# had trained with all defaults is no good, or would go on from one of another model id.
EXPECTED = (
    "stopped as asked",
    "nothing-here",
    "came before",
    "SIGTERM",
    "terminated",
    "externally set",
    "gate",
    "weights do not fit",
)


@dataclass
class Found:
    """What was done, and what went wrong.

    Attributes:
        done: how often each thing was done.
        refused: what Airflow refused, with reason, by count: a second backfill, or a task that cannot be cleared now.
        faults: what must not be.
    """

    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        self.faults.append(f"{datetime.now(UTC):%H:%M:%S} {text}")
        print(self.faults[-1], flush=True)


class Walk:
    """People at a stack, whose choices a seed decides."""

    def __init__(self, stack: Stack, settings: Settings, seed: int) -> None:
        self._stack, self._settings = stack, settings
        self._chance = random.Random(seed)
        self._airflow = AirflowClient(stack.airflow_url, ADMIN, stack.password, timeout=120)
        self._pages = httpx.Client(base_url=stack.airflow_url, trust_env=False, timeout=120)
        self._number = 0
        self._restarts: dict[str, int] = {}
        self.found = Found()
        self._things: dict[str, tuple[int, Callable[[], None]]] = {
            "start a run": (3, self._start),
            "start one again": (3, self._again),
            "announce data": (1, self._announce),
            "backfill": (2, self._backfill),
            "clear a task": (4, self._clear),
            "stop a training": (2, self._stop),
            "look at pages": (6, self._look),
        }

    def begin(self) -> None:
        self._airflow.wait_for_dag(DAG_ID)
        self._airflow.set_paused(DAG_ID, False)
        (asset,) = self._request("GET", "/assets", params={"name_pattern": "object_detection_dataset"})["assets"]
        self._asset = asset["id"]

    def go(self, minutes: float) -> None:
        """Does things until the time is over."""
        names = list(self._things)
        weights = [weight for weight, _ in self._things.values()]
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            (name,) = self._chance.choices(names, weights)
            self._do(name, self._things[name][1])
            self._do("keep one training under way", self._train)
            self._watch()
            time.sleep(self._chance.uniform(*PAUSE))

    def finish(self, still_seconds: float) -> None:
        """Waits until every run has ended, and tells those that are left when nothing changes for so many seconds."""
        before: dict[str, list[str]] = {}
        changed = time.monotonic()
        while runs := [run for run, state in self._runs().items() if state in OPEN]:
            self._watch()
            now = {run: {task.task_id: task.state for task in self._airflow.tasks(DAG_ID, run)} for run in runs}
            ended = {run: [task for task in tasks if tasks[task] in ENDED] for run, tasks in now.items()}
            if ended != before:
                before, changed = ended, time.monotonic()
                print(f"{datetime.now(UTC):%H:%M:%S} {len(runs)} runs have not ended", flush=True)
            elif time.monotonic() - changed > still_seconds:
                for run, tasks in now.items():
                    self.found.fault(f"stuck: {run}: {tasks}")
                return
            time.sleep(10)

    def look_back(self) -> Counter[str]:
        """Holds what was left against what may be; the states of all runs."""
        states: Counter[str] = Counter()
        for run, state in self._runs().items():
            tasks = self._airflow.tasks(DAG_ID, run) if state == "failed" else []
            # Airflow gives up what is behind a task that failed, and may do so when that one is already cleared.
            given_up = state == "failed" and not any(task.state == "failed" for task in tasks)
            states["given up" if given_up else state] += 1
            for task in tasks:
                if task.state == "failed":
                    line = self._airflow.error_line(DAG_ID, run, task)
                    if not any(reason in line for reason in EXPECTED):
                        self.found.fault(f"{run}: {task.task_id} failed: {line}")
        for path in (self._stack.airflow_home / "logs").rglob("*.log"):
            if "database is locked" in path.read_text(errors="replace").lower():
                self.found.fault(f"database is locked: {path}")
        return states

    def _do(self, name: str, thing: Callable[[], None]) -> None:
        try:
            thing()
            self.found.done[name] += 1
        except UsageError as error:
            self.found.refused[f"{name}: {re.sub(r'[0-9a-f-]{36}|[_0-9:T.+-]{10,}', '…', str(error))[:160]}"] += 1
        except StorageError as error:
            self.found.fault(f"{name}: {error}")
        except httpx.HTTPError as error:
            self.found.fault(f"{name}: {error!r}")

    def _request(self, method: str, path: str, **arguments: Any) -> Any:
        return self._airflow.request(method, path, **arguments)

    def _runs(self) -> dict[str, str]:
        """The state of every run."""
        states: dict[str, str] = {}
        while True:
            params = {"limit": 100, "offset": len(states), "order_by": "id"}
            found = self._request("GET", f"/dags/{DAG_ID}/dagRuns", params=params)
            states |= {run["dag_run_id"]: run["state"] for run in found["dag_runs"]}
            if not found["dag_runs"] or len(states) >= found["total_entries"]:
                return states

    def _is_full(self) -> bool:
        return sum(state in OPEN for state in self._runs().values()) >= ACTIVE

    def _trigger(self, kind: str, settings: dict[str, Any]) -> None:
        self._number += 1
        self._airflow.trigger(DAG_ID, f"{kind}-{self._number}", settings)

    def _start(self) -> None:
        if not self._is_full():
            model = self._chance.choice(("walk", "other"))
            self._trigger("click", QUICK | {"epochs": self._chance.randint(1, 3), "model_name": model})

    def _again(self) -> None:
        """What the page of a run does: it shows the form, and sends it."""
        if runs := list(self._runs()) if not self._is_full() else []:
            run = self._chance.choice(runs)
            page = self._page(f"/runs/{DAG_ID}/{quote(run, safe='')}/again")
            given = dict(re.findall(r'name="(\w+)" value="([^"]*)"[^>]* data-given="yes"', page))
            self._trigger("again", QUICK | {name: given[name] for name in ("training",) if given.get(name)})

    def _announce(self) -> None:
        if not self._is_full():
            split = self._chance.choice(("training", "validation", "test", "nothing-here"))
            body = {"asset_id": self._asset, "extra": {"training": f"{DATASET}/{split}"}}
            self._request("POST", "/assets/events", json=body)

    def _backfill(self) -> None:
        first, weeks = self._chance.randrange(WEEKS), self._chance.randint(1, 2)
        body = {
            "dag_id": DAG_ID,
            "from_date": (FIRST_WEEK + timedelta(weeks=first)).isoformat(),
            "to_date": (FIRST_WEEK + timedelta(weeks=first + weeks - 1)).isoformat(),
            "max_active_runs": self._chance.randint(1, 3),
            "reprocess_behavior": self._chance.choice(("none", "failed", "completed")),
            "dag_run_conf": QUICK | {"model_name": "weeks", "epochs": 1},
        }
        self._request("POST", "/backfills", json=body)

    def _clear(self) -> None:
        states = ("running",) if self._is_full() else ("success", "failed", "running")
        if runs := [run for run, state in self._runs().items() if state in states]:
            run = self._chance.choice(runs)
            task = self._chance.choice(("download_dataset", "build_examples", "fine_tune", "evaluate", "quality_gate"))
            body = {"dag_run_id": run, "task_ids": [task], "include_downstream": True, "only_failed": False}
            self._request("POST", f"/dags/{DAG_ID}/clearTaskInstances", json=body | {"dry_run": False})

    def _stop(self) -> None:
        """What the page of a run does: it asks, and is sent."""
        for run in self._training():
            here = f"/runs/{DAG_ID}/{quote(run, safe='')}/stop"
            token = re.search(r'name="token" value="([^"]+)"', self._page(here))
            assert token
            headers = {"Sec-Fetch-Site": "same-origin"}
            answer = self._pages.post(f"/boxwright{here}", data={"token": token[1]}, headers=headers)
            if answer.status_code == 409:  # it has not begun, or has just ended
                raise UsageError("the run has no training under way")
            self._check(answer)

    def _look(self) -> None:
        for path in ("/models", "/datasets", "/upload"):
            self._page(path)
        for run in self._chance.sample(runs, min(2, len(runs))) if (runs := list(self._runs())) else ():
            self._page(f"/runs/{DAG_ID}/{quote(run, safe='')}")

    def _train(self) -> None:
        """Has a long training under way, whatever was stopped or cleared."""
        if not any(name.startswith("long") for name, state in self._runs().items() if state in OPEN):
            self._trigger("long", QUICK | {"epochs": 150, "model_name": "long"})

    def _training(self) -> list[str]:
        found = self._request("GET", f"/dags/{DAG_ID}/dagRuns/~/taskInstances", params={"state": "running"})
        return [one["dag_run_id"] for one in found["task_instances"] if one["task_id"] == "fine_tune"]

    def _page(self, path: str) -> str:
        if "_token" not in self._pages.cookies:
            answer = self._pages.post("/auth/token", json={"username": ADMIN, "password": self._stack.password})
            self._pages.cookies.set("_token", answer.json()["access_token"])
        return self._check(self._pages.get(f"/boxwright{path}", follow_redirects=True))

    def _check(self, answer: httpx.Response) -> str:
        if answer.status_code >= 400:
            text = " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())
            self.found.fault(f"{answer.request.url.path} answered {answer.status_code}: {text[-300:]}")
        if "database is locked" in answer.text.lower():
            self.found.fault(f"{answer.request.url.path} says that the database is locked")
        return answer.text

    def _watch(self) -> None:
        """Notes each service that was started again: nothing here ends one."""
        for state in manager.status(self._settings):
            if state.restarts > self._restarts.get(state.name, 0):
                self._restarts[state.name] = state.restarts
                self.found.fault(f"{state.name} died and was started again: {state.line}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--minutes-still", type=float, default=15, help="after which runs that do not end are stuck")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="boxwright-walk-") as folder:
        settings = Settings(home=Path(folder, "home"))
        generate_sample(Path(folder, "sample"), images=20, seed=chosen.seed)
        stack, _ = manager.up(settings, free_ports=True)
        try:
            with reaching(DATASET, settings):
                upload_dataset(Path(folder, "sample"), DATASET)
            walk = Walk(stack, settings, chosen.seed)
            walk.begin()
            with suppress(KeyboardInterrupt):  # it ends early, and is told as far as it went
                walk.go(chosen.minutes)
                walk.finish(60 * chosen.minutes_still)
            runs = walk.look_back()
        finally:
            manager.down(settings)
    found = walk.found
    result = {"minutes": chosen.minutes, "seed": chosen.seed, "done": found.done, "runs": runs}
    print(json.dumps(result | {"refused": found.refused, "faults": found.faults}, indent=2))
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
