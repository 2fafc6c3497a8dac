"""Fixtures that more than one part of the tests uses."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import postgres_server
import pytest
import seaweed

from benchmarks.zoo_reference import reference_folder
from boxwright.config import Settings
from boxwright.stack.database import why_not_postgresql

os.environ["GX_ANALYTICS_ENABLED"] = "false"
if "PYTEST_XDIST_WORKER" not in os.environ:
    # What programs that tests kill leave among the temporary files goes with the session. pytest's own folders stay.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="bw-")
    # After multiprocessing's own, which has a folder there and removes it with -100.
    Finalize(None, shutil.rmtree, (os.environ["TMPDIR"], True), exitpriority=-200)
else:
    # Two processes share two cores: threads of one would wait for those of the other (a tiny training: 35 CPU seconds
    # with two threads, 30 with one). Processes that tests start inherit it.
    for _name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

TESTS = Path(__file__).resolve().parent
# The tests' model families, here and in the processes that tests start.
OWN_FAMILIES = str(TESTS / "own_families")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (OWN_FAMILIES, os.environ.get("PYTHONPATH"))))
sys.path.insert(0, OWN_FAMILIES)
import_module("family_hook")
# Files and folders that take long, the longest first: two processes start them in this order and so end together.
# `make test-quick` leaves them out.
SLOW = (
    "live",
    "model/test_detectors.py",
    "serving/engine",
    "pipeline/test_runner.py",
    "training/test_machines.py",
    "pipeline/test_beside.py",
    "notebooks",
    "sagemaker/test_instances.py",
    "sagemaker/test_spot_interruption.py",
    "model/zoo",
    "registry/test_registry_server.py",
    "serving/http",
    "tuning/test_trials.py",
    "training/test_fine_tune.py",
    "training/test_distribution.py",
    "cli/test_cli.py",
    "cli/test_evaluation_commands.py",
    "model/test_dfine.py",
    "registry/test_mlflow_registry.py",
    "plugins/trial",
    "plugins/fab",
    "api/test_python_detector.py",
    "distribution/test_serve_extra.py",
    "sagemaker/test_official_sdk.py",
    "dataset/examples/test_damaged_shards.py",
    "pipeline/test_killed_runs.py",
    "pipeline/test_kills_at_steps.py",
    "tuning/test_study.py",
    "training/test_kills.py",
    "exporting/test_export_formats.py",
    "storage/test_transfer.py",
    "pipeline/test_step_faults.py",
    "registry/test_promotion.py",
    "sagemaker/test_jobs.py",
    "dataset/snapshot/test_download.py",
    "dataset/validation/test_validation_properties.py",
    "training/test_devices.py",
    "pipeline/test_storage_outage.py",
    "serving/batch/test_files.py",
    "storage/test_faults.py",
    "pipeline/test_damaged_outputs.py",
    "evaluation/test_evaluation_report.py",
    "api/test_python_runs.py",
    "pipeline/test_transport.py",
    "exporting/test_measuring.py",
)
# After all others: two stacks beside each other, with all that they run, take both many times as long.
LAST = "cluster"


@pytest.fixture(scope="session")
def seaweed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    """One real S3 server for the whole session."""
    server = seaweed.start(tmp_path_factory.mktemp("weed"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres_server.Postgres]:
    """One real PostgreSQL server for the whole session."""
    if reason := why_not_postgresql():
        pytest.skip(f"PostgreSQL cannot run here: {reason}")
    server = postgres_server.start(tmp_path_factory.mktemp("postgres"))
    yield server
    server.stop()


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps what tests fetch out of this machine's cache; processes that tests start inherit it."""
    os.environ["BOXWRIGHT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def s3(seaweed_server: seaweed.Seaweed, monkeypatch: pytest.MonkeyPatch) -> seaweed.Seaweed:
    """The session's S3 server, with AWS_* leading to it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in seaweed_server.environment.items():
        monkeypatch.setenv(name, value)
    return seaweed_server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """State of the test's own."""
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "home").mkdir()
    return Settings.from_environment()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with all tables and nothing in them, to be copied: making it takes seconds."""
    from boxwright.registry.opening import open_registry

    path = tmp_path_factory.mktemp("registry") / "mlflow.sqlite"
    assert open_registry(f"sqlite:///{path}").versions("nothing") == ()
    return path


@pytest.fixture(scope="session")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as an archive unpacks to, with a model that finds the red and the blue thing."""
    from finder import export_finder, write_facts

    folder = tmp_path_factory.mktemp("finder")
    export_finder(folder)
    write_facts(folder)
    return folder


def _bccd_folder() -> Path:
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "bccd"
    return Path(os.environ.get("BOXWRIGHT_BCCD", default))


@pytest.fixture(scope="session")
def bccd() -> Path:
    """The blood-cell dataset: `BOXWRIGHT_BCCD`, or `shared/data/bccd` beside the repository."""
    return _bccd_folder()


@pytest.fixture(scope="session")
def odapi() -> Path:
    """Numbers of the original Object Detection API: `BOXWRIGHT_ODAPI`, or `shared/reference/odapi` as for `bccd`."""
    return reference_folder()


CHROMIUM = shutil.which("chromium")
# Seconds for a test that is marked as long, of which each is many runs.
LONG_TIMEOUT = 3 * 3600
# Nothing leaves the machine: no updates, no sync, no first-run pages.
_CHROMIUM_OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def _launch() -> Iterator[Callable[[], Any]]:
    """Hands out the browser of the module, and another where that one died.

    Of a module, since an event loop runs as long as Playwright does, and tests elsewhere run their own.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running: list[Any] = []

        def launch() -> Any:
            if not running or not running[-1].is_connected():
                running.append(playwright.chromium.launch(executable_path=CHROMIUM, args=_CHROMIUM_OPTIONS))
            return running[-1]

        yield launch
        for one in running:
            one.close()


@pytest.fixture
def browser(_launch: Callable[[], Any]) -> Any:
    """A headless Chromium, for pages as people see them; `make test` installs it where it may."""
    return _launch()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Divides the tests among the processes of `make test` by file, for its fixtures are costly.

    All tests with a stack count as one file: it is started once.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder = next((name for name in ("live", LAST) if nodeid.startswith(f"tests/{name}/")), None)
            return folder or str(super()._split_scope(nodeid))

        def remove_node(self, node: Any) -> Any:
            # Files that a lost process had done would be handed out again, nothing would be left to run in them, and
            # the process that got one would wait for ever.
            work = self.assigned_work[node]
            for done in [file for file, tests in work.items() if all(tests.values())]:
                del work[done]
            return super().remove_node(node)

    return Scheduling(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("boxwright", "how much of the suite runs")
    group.addoption("--long", action="store_true", help="run the scenarios that take an hour more as well")
    group.addoption("--quick", action="store_true", help="leave out what takes long, the stack and the browser")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts what takes longest first; skips what this machine cannot check, each with its reason."""
    missing = [name for name in (*SLOW, LAST) if not (TESTS / name).exists()]
    if missing:
        raise pytest.UsageError(f"SLOW or LAST in tests/conftest.py names {', '.join(missing)}, which is not in tests/")
    items.sort(key=lambda item: _place(item.path))
    if config.getoption("quick"):
        left_out = [item for item in items if _place(item.path) != len(SLOW) or "browser" in _fixtures(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
    lacking = _lacking()
    for item in items:
        for name in sorted(lacking.keys() & _fixtures(item)):
            item.add_marker(pytest.mark.skip(reason=lacking[name]))
        if "browser" in _fixtures(item):
            # Chromium itself dies now and then where little memory is left.
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["TargetClosedError"]))
        if item.get_closest_marker("long"):
            _prepare_long(item, run=config.getoption("long"))


def _place(path: Path) -> int:
    """Place of a test file in `SLOW`; the number of its entries where it is not among them, and one more for `LAST`."""
    own = path.relative_to(TESTS).as_posix()
    if own.startswith(f"{LAST}/"):
        return len(SLOW) + 1
    return next((i for i, slow in enumerate(SLOW) if own == slow or own.startswith(f"{slow}/")), len(SLOW))


def _fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


def _lacking() -> dict[str, str]:
    """Why a test with a fixture cannot run on this machine, by the fixture's name."""
    needs = {
        "bccd": (_bccd_folder().exists(), f"no blood-cell dataset at {_bccd_folder()}: set BOXWRIGHT_BCCD"),
        "odapi": (reference_folder().exists(), f"no reference numbers at {reference_folder()}: set BOXWRIGHT_ODAPI"),
        "browser": (bool(CHROMIUM), "no chromium: on Debian apt-get install chromium"),
    }
    return {name: reason for name, (there, reason) in needs.items() if not there}


def _prepare_long(item: pytest.Item, run: bool) -> None:
    if run:
        item.add_marker(pytest.mark.timeout(LONG_TIMEOUT))
    else:
        item.add_marker(pytest.mark.skip(reason="takes an hour more: make test LONG=1"))
