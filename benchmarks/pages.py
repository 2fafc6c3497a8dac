"""How long Airflow's server takes for each of Boxwright's pages, with 500 versions in MLflow's SQLite.

MLflow runs as a server of its own, as in the stack, and the pages are asked for in this process, without a network
between. The peer is what the first page costs, for which the whole registry is read, and what MLflow's own client costs
to import.

    python -m benchmarks.pages [--versions 500] [--repeats 10]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

MODEL = "detector"
PAGES = {
    "models": "/models",
    "models, sorted by AP": "/models?sort=ap",
    "models, one class": "/models?q=nut",
    "version": f"/models/{MODEL}/{{last}}",
    "promote": f"/models/{MODEL}/{{last}}/promote",
    "compare two": f"/compare?v={MODEL}/{{last}}&v={MODEL}/1",
    "datasets": "/datasets",
    "dataset": "/datasets/fingerprint-1",
}
IMPORT = "import time; start = time.time(); import {0}; print(time.time() - start)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--versions", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_versions(Path(folder), options.versions)
        with mlflow_server(Path(folder)) as uri:
            os.environ["MLFLOW_TRACKING_URI"] = uri
            measure(options.versions, options.repeats)


def make_versions(folder: Path, count: int) -> None:
    """Registers versions with as many tags as a run's have, and results of two of them."""
    from boxwright.registry.mlflow_library import LibraryClient
    from boxwright.registry.port import Release
    from boxwright.registry.tags import version_tags
    from boxwright.registry.tracking import key
    from boxwright.registry.writer_lock import WriterLock

    uri = f"sqlite:///{folder / 'mlflow.sqlite'}"
    client = LibraryClient(uri, WriterLock(uri))
    client.create_model(MODEL)
    metrics = [f"metric_{number}" for number in range(22)]
    for number in range(1, count + 1):
        output = folder / f"run-{number}" / "output"
        ap = 0.3 + 0.2 * number / count
        release = Release(
            model_name=MODEL,
            run_id=f"run-{number}",
            archive_uri=str(output / "model.tar.gz"),
            as_of=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number),
            metrics={"AP": ap, "AP50": ap + 0.2, **dict.fromkeys(metrics, 0.123456789)},
            fingerprint=f"fingerprint-{number // 10}",
            parent=f"models:/{MODEL}/{number - 1}" if number > 1 else None,
            model_id="tiny",
            classes=["bolt", "nut", "washer"],
            category_ids=[1, 2, 3],
            config_json=json.dumps({f"setting_{place}": "a value of some length" for place in range(40)}),
            hyperparameters={f"parameter_{place}": place for place in range(40)},
            recipe="0" * 64,
            code_version="0.1.0",
            run_url=f"http://localhost/dags/d/runs/run-{number}",
            pictures=[],
        )
        client.create_version(MODEL, str(output), None, version_tags(release, key))
        if number in (1, count):
            write_results(output)
    client.set_alias(MODEL, "champion", count - 1)


def write_results(output: Path) -> None:
    """What the pages read of a run: metrics of three classes, and a gallery of 24 images."""
    output.mkdir(parents=True)
    from boxwright.evaluation.gate_records import GateReport
    from boxwright.evaluation.records import CocoMetrics, EvaluationSummary
    from boxwright.model.seeds import Seed
    from boxwright.packaging.run_facts import RunFacts

    measured = EvaluationSummary(
        split="test",
        threshold=0.4,
        metrics={"AP": 0.4, "AP50": 0.6},
        per_class=dict.fromkeys("abc", CocoMetrics(AP=0.4, AP50=0.6, boxes=9)),
    )
    facts = RunFacts(
        run_id="run",
        model_name=MODEL,
        model_id="tiny",
        classes=tuple("abc"),
        dataset_fingerprint="fingerprint",
        images={"training": 24},
        seed=Seed(kind="pretrained", model_id="tiny", origin="random"),
        parent=None,
        split=measured.split,
        metrics=measured.metrics,
        per_class=measured.per_class,
        hyperparameters={},
        config={},
        code_version="0.1.0",
    )
    for record in (measured, facts, GateReport(checks=())):
        record.write(output)
    gallery = [{"picture": n, "file": f"{n}.jpg", "caption": "", "galleries": []} for n in range(24)]
    (output / "gallery.json").write_text(json.dumps(gallery))


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """MLflow over the database of the folder, as the stack runs it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.sqlite"]
    command += ["--artifacts-destination", str(folder), "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, cwd=folder, env=os.environ | quiet
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise SystemExit("MLflow's server did not start")


def measure(count: int, repeats: int) -> None:
    """Prints a line for each page."""
    from rich.console import Console
    from rich.table import Table

    client = open_pages()
    first = milliseconds(lambda: get(client, "/models"))
    table = Table(title=f"{count} versions, median of {repeats}, ms of server time")
    for title in ("page", "ms", "slowest", "KB"):
        table.add_column(title, justify="left" if title == "page" else "right")
    for name, pattern in PAGES.items():
        path = pattern.format(last=count)
        size = len(get(client, path).content) / 1000
        taken = [milliseconds(lambda path=path: get(client, path)) for _ in range(repeats)]
        table.add_row(name, f"{statistics.median(taken):.0f}", f"{max(taken):.0f}", f"{size:.0f}")
    console = Console(width=100)
    console.print(table)
    console.print(f"first page after the server's start, if the registry could not be prefetched: {first:.0f} ms")
    promoting, after = promote(client, f"/models/{MODEL}/{count}")
    console.print(f"promoting: {promoting:.0f} ms; the version's page after it: {after:.0f} ms")
    for module in ("mlflow", "boxwright.registry.rest"):
        command = [sys.executable, "-c", IMPORT.format(module)]
        seconds = float(subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()[-1])
        console.print(f"import {module}: {seconds:.2f} s")


def promote(client: Any, version: str) -> tuple[float, float]:
    """Milliseconds of a promotion as its form does it, and of the page that it leads to."""
    form = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', get(client, f"{version}/promote").text))

    def submit() -> None:
        answer = client.post(
            f"{version}/promote", data=form, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=False
        )
        if answer.status_code != 303:
            raise SystemExit(f"promoting answered {answer.status_code}: {answer.text}")

    promoting, after = milliseconds(submit), milliseconds(lambda: get(client, version))
    if "is the champion now" not in get(client, f"{version}?done=promoted").text:
        raise SystemExit("the promotion does not show")
    return promoting, after


def open_pages() -> Any:
    """The pages as an administrator sees them."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plugins"))
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="boxwright-pages-")
    os.environ["AIRFLOW__API_AUTH__JWT_SECRET"] = "s" * 64
    os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] = "admin:admin"
    from airflow.api_fastapi.app import create_auth_manager, init_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.utils.db import initdb
    from fastapi.testclient import TestClient

    from boxwright_airflow.pages.app import build

    initdb()
    manager: Any = create_auth_manager()
    init_auth_manager()
    client = TestClient(build(), root_path="/boxwright")
    client.cookies.set("_token", manager.generate_jwt(SimpleAuthManagerUser(username="admin", role="admin", teams=[])))
    return client


def get(client: Any, path: str) -> Any:
    """One page."""
    answer = client.get(path)
    if answer.status_code != 200:
        raise SystemExit(f"{path} answered {answer.status_code}")
    return answer


def milliseconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
