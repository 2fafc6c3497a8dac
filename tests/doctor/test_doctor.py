"""What `boxwright doctor` finds on a machine and in servers that are well, and what it says of each fault."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_server import PASSWORD, Postgres
from seaweed import Seaweed
from typer.testing import CliRunner
from waiting import wait_for

from boxwright.cli.app import app
from boxwright.cli.doctor import findings
from boxwright.config import MetadataAddress, Settings
from boxwright.doctor import airflow_settings, machine, stores
from boxwright.doctor.airflow_settings import RULES, look_at_settings
from boxwright.doctor.broker import judge_workers, look_at_broker
from boxwright.doctor.finding import Finding, Verdict, well
from boxwright.metadata.database import note_worker
from boxwright.metadata.tables import make_tables
from boxwright.stack.cluster import WORKER_SETTINGS
from docs.generator.house import REPOSITORY


def by_subject(found: Any) -> dict[str, Finding]:
    return {one.subject: one for one in found}


@pytest.fixture
def several(
    home: Settings, postgres: Postgres, s3: Seaweed, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> str:
    """An environment as a worker has it, ML Metadata not yet made; the address of its database."""
    bucket = s3.make_bucket(f"doctor-{abs(hash(request.node.name)):x}")
    uri = postgres.new_database()
    monkeypatch.setenv("BOXWRIGHT_METADATA_URI", uri)
    monkeypatch.setenv("BOXWRIGHT_PIPELINE_ROOT", f"{bucket}/root")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://somewhere/mlflow")
    for name in ("AIRFLOW_HOME", "BOXWRIGHT_AIRFLOW_URL", "BOXWRIGHT_CHECKPOINT_URI"):
        monkeypatch.delenv(name, raising=False)
    return uri


def look(settings: Settings | None = None) -> dict[str, Finding]:
    return by_subject(stores.look_at_stores(settings or Settings.from_environment()))


def test_the_command_ends_well_once_the_database_is_made(several: str, s3: Seaweed) -> None:
    run = CliRunner().invoke
    sick = run(app, ["doctor", "--json"])
    assert sick.exit_code == 4
    told = json.loads(sick.stdout)
    wrong = [one for one in told["findings"] if one["verdict"] == "wrong"]
    assert [(one["subject"], told["well"]) for one in wrong] == [("ML Metadata", False)]
    assert "there is no database" in wrong[0]["said"] and wrong[0]["mend"] == "`boxwright db init` makes it"
    make_tables(MetadataAddress.parse(several))
    healthy = run(app, ["doctor"])
    assert healthy.exit_code == 0, healthy.output
    assert "is ready, and each type is there once" in healthy.output
    assert "can be written, read, and written on a condition" in healthy.output
    assert PASSWORD not in healthy.output and s3.secret_key not in healthy.output
    root = Settings.from_environment().shared_root or ""
    left = s3.client().list_objects_v2(Bucket=root.split("/")[2])
    assert left["KeyCount"] == 0, "nothing of the look stays"


def test_doubled_types_and_missing_tables_are_named(several: str, postgres: Postgres) -> None:
    make_tables(MetadataAddress.parse(several))
    postgres.query(several, "DROP INDEX boxwright_one_type")
    found = look()["ML Metadata"]
    assert (found.verdict, found.mend) == (Verdict.WRONG, "`boxwright db init` makes what is missing")
    for _ in range(2):
        postgres.query(several, "INSERT INTO type (name, type_kind) VALUES ('Twice', 1)")
    postgres.query(several, "CREATE INDEX boxwright_one_type ON type (name)")
    assert "artifact type Twice more than once: steps are skipped" in look()["ML Metadata"].said


def test_workers_that_differ_are_named(several: str, home: Settings) -> None:
    address = MetadataAddress.parse(several)
    make_tables(address)
    assert look()["workers"].verdict is Verdict.SKIPPED
    note_worker(address, Path("/one"), "1.0", "s3://bucket/root")
    note_worker(address, Path("/two"), "1.0", "s3://bucket/root")
    assert look()["workers"].verdict is Verdict.WELL
    note_worker(address, Path("/two"), "1.0", None)
    assert (look()["workers"].verdict, "none" in look()["workers"].said) == (Verdict.WRONG, True)
    note_worker(address, Path("/two"), "1.1", "s3://bucket/root")
    assert look()["workers"].verdict is Verdict.DOUBTFUL and "(1.1)" in look()["workers"].said


def test_parts_for_one_machine_and_for_several_do_not_mix(several: str, home: Settings) -> None:
    address = MetadataAddress.parse(several)

    def verdict(**changes: Any) -> list[Verdict]:
        return [one.verdict for one in stores._together(Settings(home=home.home, **changes))]

    assert verdict(metadata_address=address, shared_root="s3://bucket/root") == [Verdict.WELL]
    assert verdict(metadata_address=address) == [Verdict.DOUBTFUL]
    assert verdict(shared_root="s3://bucket/root") == [Verdict.DOUBTFUL]


def test_a_registry_in_a_file_is_no_one_elses(several: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    found = look()["one machine or several"]
    assert (found.verdict, found.mend) == (Verdict.WRONG, "set MLFLOW_TRACKING_URI to a server")


def test_a_registry_that_does_not_answer_is_named(several: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:hidden@127.0.0.1:9")
    found = look()["model registry"]
    assert found.verdict is Verdict.WRONG and "127.0.0.1:9" in found.said and "hidden" not in str(found)


@pytest.mark.parametrize(
    ("url", "said"),
    [("http://airflow:8080", "BOXWRIGHT_AIRFLOW_USER"), ("airflow:8080", "expected an address such as http://")],
)
def test_an_airflow_that_cannot_be_asked_is_named(home: Settings, url: str, said: str, monkeypatch) -> None:
    monkeypatch.setenv("BOXWRIGHT_AIRFLOW_URL", url)
    monkeypatch.delenv("BOXWRIGHT_AIRFLOW_USER", raising=False)
    found = by_subject(findings(home))["Airflow"]
    assert found.verdict is Verdict.WRONG and said in found.said + found.mend


def test_no_finding_shows_a_log_in() -> None:
    assert "hidden" not in well("model registry", "http://user:hidden@mlflow answers").said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BOXWRIGHT_PIPELINE_ROOT", "s3://there-is-no-such-bucket/x", "bucket"),
        ("AWS_SECRET_ACCESS_KEY", "another", "s3://"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "127.0.0.1:9"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_named(
    several: str, name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    settings = Settings.from_environment()
    found = look(settings)[f"S3 {settings.shared_root}"]
    assert found.verdict is Verdict.WRONG and said in found.said + found.mend and found.mend


@pytest.mark.parametrize(("ahead", "said"), [(600.0, "600 s behind"), (-600.0, "600 s ahead")])
def test_a_clock_that_is_off_is_named(ahead: float, said: str) -> None:
    (found,) = stores._clock("S3", ahead)
    assert found.verdict is Verdict.WRONG and said in found.said and "NTP" in found.mend


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = by_subject(machine.look_at_machine(Settings(home=tmp_path / "file" / "home")))
    assert found["home"].verdict is Verdict.WRONG and "BOXWRIGHT_HOME" in found["home"].mend
    assert {"memory", "host name", "GPUs"} <= set(found)


def test_a_host_name_that_leads_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "no-such-host.invalid")
    found = machine._name()
    assert found.verdict is Verdict.DOUBTFUL and "get_host_ip_address" in found.mend


def test_a_driver_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed' >&2; exit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (machine._accelerators().verdict, "has failed" in machine._accelerators().said) == (Verdict.WRONG, True)
    program.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA L4 (UUID: GPU-1)'\n")
    assert machine._accelerators().said == "1: GPU 0: NVIDIA L4"


GOOD = {
    "core.executor": "CeleryExecutor",
    "celery.broker_url": "redis://localhost",
    "operators.default_queue": "default",
    "core.fernet_key": "k" * 44,
    "api_auth.jwt_secret": "s" * 64,
    "api.secret_key": "a" * 64,
    "core.execution_api_server_url": "http://api:8080/execution/",
    "logging.remote_logging": "True",
    "workers.execution_api_timeout": "60",
    "core.dagbag_import_timeout": "300",
    "dag_processor.dag_file_processor_timeout": "300",
    "celery.operation_timeout": "30",
    "celery_broker_transport_options.visibility_timeout": "604800",
    "scheduler.num_stuck_in_queued_retries": "1000",
}


def test_each_setting_that_a_cluster_needs_is_held() -> None:
    assert [one.verdict for one in look_at_settings(GOOD)] == [Verdict.WELL]
    for rule in RULES:
        (found,) = look_at_settings(GOOD | {rule.name: ""})
        assert found.verdict is (Verdict.WRONG if rule.fatal else Verdict.DOUBTFUL)
        section, key = rule.name.upper().split(".")
        assert f"AIRFLOW__{section}__{key}" in found.mend
    alone = {**dict.fromkeys(GOOD, ""), "core.executor": "LocalExecutor", "core.dagbag_import_timeout": "30"}
    told = {one.subject.rpartition(" ")[2] for one in look_at_settings(alone)}
    assert told == {"core.dagbag_import_timeout", "dag_processor.dag_file_processor_timeout"}


def test_the_page_of_clusters_has_the_values_that_a_cluster_has() -> None:
    rows = (REPOSITORY / "docs" / "cluster.md").read_text("utf-8").splitlines()
    for name, value in WORKER_SETTINGS.items():
        assert any(f"`{name}`" in row and f"| {value} |" in row for row in rows), name


def test_airflow_itself_says_what_its_settings_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__CELERY__OPERATION_TIMEOUT", "42")
    values = airflow_settings.airflow_values()
    assert isinstance(values, dict) and set(values) == set(GOOD)
    assert values["celery.operation_timeout"] == "42" and values["workers.execution_api_timeout"] == "5.0"


def worker(*queues: str, places: int = 1) -> tuple[list[dict[str, str]], dict[str, Any]]:
    return [{"name": name} for name in queues], {"pool": {"max-concurrency": places}}


@pytest.mark.parametrize(
    ("workers", "slots", "verdict", "said"),
    [
        ([worker("default", "data", places=4), worker("gpu", places=2)], 2, Verdict.WELL, "default 4, data 4, gpu 2"),
        ([worker("default", "data"), worker("gpu")], 3, Verdict.DOUBTFUL, "3 slots, and workers of its queue run 1"),
        ([worker("default"), worker("gpu")], 1, Verdict.WRONG, "none listens to data"),
        ([], None, Verdict.WRONG, "0 answer, and none listens to default, data, gpu"),
    ],
)
def test_workers_are_held_against_queues_and_pool(
    workers: list[Any], slots: int | None, verdict: Verdict, said: str
) -> None:
    queues = {f"celery@{number}": one[0] for number, one in enumerate(workers)}
    stats = {f"celery@{number}": one[1] for number, one in enumerate(workers)}
    (found,) = judge_workers("Celery workers", queues, stats, "default", slots)
    assert found.verdict is verdict and said in found.said


def test_airflows_own_queue_may_have_another_name() -> None:
    queues, stats = worker("light", "data", "gpu")
    (found,) = judge_workers("Celery workers", {"celery@0": queues}, {"celery@0": stats}, "light", None)
    assert found.verdict is Verdict.WELL and "light 1" in found.said


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no Redis: on Debian apt-get install redis-server")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
    )
    wait_for(lambda: not isinstance(_try(port), Exception), "Redis answers")
    yield port
    server.kill()
    server.wait()


def _try(port: int) -> Exception | None:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError as error:
        return error
    return None


def test_a_broker_that_forgets_is_named(redis_port: int) -> None:
    import redis

    url = f"redis://:hidden@127.0.0.1:{redis_port}/0"
    redis.Redis(port=redis_port).config_set("requirepass", "hidden")
    (found,) = look_at_broker(url)
    assert (found.verdict, found.mend) == (Verdict.DOUBTFUL, "appendonly yes in redis.conf")
    redis.Redis(port=redis_port, password="hidden").config_set("appendonly", "yes")
    (found,) = look_at_broker(url)
    assert found.verdict is Verdict.WELL
    (found,) = look_at_broker(url.replace("hidden", "wrong"))
    assert found.verdict is Verdict.WRONG and "hidden" not in str(found)
    (found,) = look_at_broker("redis://127.0.0.1:9/0")
    assert found.verdict is Verdict.WRONG and "127.0.0.1:9" in found.said
