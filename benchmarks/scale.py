"""How many runs an hour a stack does: `python -m benchmarks.scale [--mode embedded|cluster] [--workers 2] [--runs 8]`.

A stack of its own, in a temporary folder, does one run of the tiny model alone, and then so many that are all triggered
at once. Printed are the seconds of the one, the runs an hour of the many, how long tasks waited between being queued
and started (the lag of scheduler and broker, and the wait for a free place), and what the databases and the bucket hold
afterwards. The exit code is 1 unless all runs ended well, each with one version, one of all versions is the champion,
and no log speaks of a locked database or a deadlock.

On one machine two workers share its cores: what is seen is what the parts cost, not what a second machine brings.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import quick_run
from boxwright.airflow_api import DAG_ID, AirflowClient
from boxwright.config import Settings
from boxwright.dataset.sample import generate_sample
from boxwright.registry import open_registry
from boxwright.stack import manager, reaching, upload_dataset
from boxwright.stack.cluster import QUEUES, WORKERS
from boxwright.stack.environment import Stack, added_environment
from boxwright.storage import environment

DATASET, MODEL = "s3://boxwright/datasets/scale", "scale"
QUICK = quick_run.QUICK | {"training": f"{DATASET}/training", "test": f"{DATASET}/test", "model_name": MODEL}
ENDED = ("success", "failed")
LOCKS = ("database is locked", "deadlock detected", "could not serialize access")
POLL = 5.0


def run_together(airflow: AirflowClient, runs: list[str]) -> float:
    """Triggers runs, and waits for all; seconds until the last one has ended."""
    began = time.monotonic()
    for run_id in runs:
        airflow.trigger(DAG_ID, run_id, QUICK)
    told = 0
    while True:
        states = Counter(state_of(airflow, run_id) for run_id in runs)
        if (over := sum(states[state] for state in ENDED)) > told:
            told = over
            print(f"{time.monotonic() - began:5.0f} s: {dict(states)}", flush=True)
        if over == len(runs):
            return time.monotonic() - began
        time.sleep(POLL)


def state_of(airflow: AirflowClient, run_id: str) -> str:
    return str(airflow.request("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}")["state"])


def waits(airflow: AirflowClient, runs: list[str]) -> list[float]:
    """Seconds that each task of the runs was queued for."""
    found = []
    for run_id in runs:
        path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances"
        for task in airflow.request("GET", path, params={"limit": 100})["task_instances"]:
            if task["queued_when"] and task["start_date"]:
                queued, started = (datetime.fromisoformat(task[name]) for name in ("queued_when", "start_date"))
                found.append((started - queued).total_seconds())
    return found


def leave_workers(stack: Stack, count: int) -> None:
    """Has all of the stack's own Celery workers but the first ones take nothing."""
    from celery import Celery

    if not WORKERS[count:]:
        return  # Celery takes an order to none for one to all
    control = Celery(broker=stack.broker).control
    left = [
        name
        for answer in control.ping(timeout=5.0) or []
        for name in answer
        if name.partition("@")[0] in WORKERS[count:]
    ]
    if len(left) != len(WORKERS) - count:
        raise RuntimeError(f"of the workers {', '.join(WORKERS[count:])} only {left} answer")
    for queue in QUEUES:
        control.cancel_consumer(queue, destination=left, reply=True)


def sizes(stack: Stack) -> dict[str, float]:
    """MB that the stores hold."""
    found = {}
    for name in ("postgres", "seaweedfs", "airflow", "redis"):
        if (folder := stack.folder / name).exists():
            found[name] = megabytes(folder)
    found |= {path.name: path.stat().st_size / 1e6 for path in stack.home.glob("*.sqlite")}
    return {name: round(size, 1) for name, size in found.items()}


def megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def locks(stack: Stack) -> list[str]:
    """Lines of logs that speak of locks that were not had."""
    found = []
    for path in (*(stack.folder / "logs").glob("*.log"), *(stack.airflow_home / "logs").rglob("*.log")):
        for line in path.read_text(errors="replace").splitlines():
            if any(text in line.lower() for text in LOCKS):
                found.append(f"{path.name}: {line[:200]}")
    return found


@contextmanager
def running(several: bool) -> Iterator[Stack]:
    """A stack with a dataset in its bucket, and the DAG switched on."""
    with tempfile.TemporaryDirectory(prefix="boxwright-scale-") as folder:
        settings = Settings(home=Path(folder, "home"))
        generate_sample(Path(folder, "sample"), images=24, seed=0)
        stack, _ = manager.up(settings, free_ports=True, several=several)
        try:
            with reaching(DATASET, settings):
                upload_dataset(Path(folder, "sample"), DATASET)
            yield stack
        finally:
            manager.down(settings)


def measure(stack: Stack, runs: int, workers: int | None) -> dict[str, Any]:
    """One run alone, and many at once."""
    airflow = manager.client_of(stack)
    airflow.wait_for_dag(DAG_ID)
    airflow.set_paused(DAG_ID, False)
    if workers is not None:
        leave_workers(stack, workers)
    alone = run_together(airflow, ["alone"])
    many = [f"many-{number}" for number in range(runs)]
    seconds = run_together(airflow, many)
    lags = sorted(waits(airflow, many))
    with environment(added_environment(stack)):
        registry = open_registry()
        versions = Counter(one.run_id for one in registry.versions(MODEL))
        champion = registry.aliases(MODEL).get("champion")
    return {
        "seconds alone": round(alone),
        "seconds of all": round(seconds),
        "runs an hour": round(3600 * runs / seconds, 1),
        "queued seconds: median, 95 %, longest": [
            round(one, 1) for one in (median(lags), lags[int(0.95 * len(lags))], lags[-1])
        ],
        "failed": [run_id for run_id in ("alone", *many) if state_of(airflow, run_id) != "success"],
        "runs without just one version": [run_id for run_id in ("alone", *many) if versions[run_id] != 1],
        "champion": champion,
        "locks": locks(stack),
        "MB": sizes(stack),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=("embedded", "cluster"), default="embedded")
    parser.add_argument("--workers", type=int, choices=(1, 2), default=2, help="that take tasks, of a cluster")
    parser.add_argument("--runs", type=int, default=8, help="that are triggered at once")
    chosen = parser.parse_args()
    several = chosen.mode == "cluster"
    with running(several) as stack:
        found = measure(stack, chosen.runs, chosen.workers if several else None)
    print(
        json.dumps({"mode": chosen.mode, "workers": chosen.workers if several else None, "runs": chosen.runs} | found)
    )
    bad = found["failed"] or found["runs without just one version"] or found["locks"] or found["champion"] is None
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
