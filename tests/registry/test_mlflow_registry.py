from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from boxwright.errors import DataError, StorageError, UsageError
from boxwright.registry import tracking
from boxwright.registry.mlflow_registry import Registry, Release

MakeRelease = Callable[..., Release]
ROOT = Path(__file__).resolve().parents[2]


def client_of(registry: Registry) -> MlflowClient:
    return MlflowClient(tracking_uri=registry.tracking_uri, registry_uri=registry.tracking_uri)


def mlflow_runs(registry: Registry) -> list[Any]:
    client = client_of(registry)
    return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


def test_a_version_holds_the_facts_of_its_run(registry: Registry, release: MakeRelease, tmp_path: Path) -> None:
    made = release("scheduled__2025-03-01T00:00:00+00:00")
    version = registry.register(made)
    assert (version.name, version.version, version.reference) == ("detector", 1, "models:/detector/1")
    assert version.archive_uri == made.archive_uri
    assert version.run_id == made.run_id
    assert version.as_of == datetime(2025, 3, 1, tzinfo=UTC)
    assert version.accepted and version.ap == 0.4
    assert json.loads(version.tags["boxwright.classes"]) == made.classes
    assert json.loads(version.tags["boxwright.config"])["training"] == "s3://data/train"
    assert version.tags["boxwright.fingerprint"] == "sha256:abc"
    assert version.tags["boxwright.parent"] == "models:/detector/1"

    (run,) = mlflow_runs(registry)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == made.metrics
    assert run.data.params == {"model_id": made.model_id, "epochs": "3"}
    (picture,) = client_of(registry).list_artifacts(run.info.run_id, "pictures")
    assert picture.path == "pictures/predictions.png"
    assert list(tmp_path.glob("mlartifacts/detector/*/artifacts/pictures/predictions.png")), "not beside the database"
    assert client_of(registry).get_model_version("detector", "1").run_id == run.info.run_id


def test_a_run_without_a_version_ends_as_failed_until_it_gets_one(registry: Registry, release: MakeRelease) -> None:
    for _ in range(2):
        registry.record_failure(release("run-1"))
        (run,) = mlflow_runs(registry)
        assert run.info.status == "FAILED" and run.data.metrics == release("run-1").metrics
        assert client_of(registry).list_artifacts(run.info.run_id, "pictures")
    assert not registry.versions("detector")
    registry.register(release("run-1"))
    assert [run.info.status for run in mlflow_runs(registry)] == ["FINISHED"]


def test_registering_again_finds_the_version(registry: Registry, release: MakeRelease) -> None:
    first = registry.register(release("run-1"))
    second = registry.register(release("run-2"))
    assert registry.register(release("run-1")) == first
    assert registry.register(release("run-1", ap=0.9)) == first
    assert registry.versions("detector") == (first, second)
    assert len(mlflow_runs(registry)) == 2
    assert registry.resolve("models:/detector@candidate") == second, "an older run must not take candidate back"


@pytest.mark.parametrize("crash_in", ["create_model_version", "set_registered_model_alias", "set_terminated"])
def test_a_crash_halfway_is_repaired(
    crash_in: str, registry: Registry, release: MakeRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call itself is done, and then the process is gone."""
    real = getattr(MlflowClient, crash_in)

    def crash(self: MlflowClient, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, crash_in, crash)
        with pytest.raises(KeyboardInterrupt):
            registry.register(release("run-1"))
    version = Registry(registry.tracking_uri).register(release("run-1"))
    assert registry.versions("detector") == (version,)
    assert registry.resolve("models:/detector@champion") == registry.resolve("models:/detector@candidate") == version
    (run,) = mlflow_runs(registry)
    assert run.info.status == "FINISHED"


def test_a_crash_while_logging_doubles_no_metric(
    registry: Registry, release: MakeRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_artifact", crash)
        with pytest.raises(KeyboardInterrupt):
            registry.register(release("run-1"))
    assert registry.versions("detector") == ()
    registry.register(release("run-1"))
    (run,) = mlflow_runs(registry)
    assert len(client_of(registry).get_metric_history(run.info.run_id, "AP")) == 1


def test_champion_goes_to_the_better_and_later(registry: Registry, release: MakeRelease) -> None:
    def champion() -> str:
        return registry.resolve("models:/detector@champion").run_id

    registry.register(release("first", "2025-03-01", ap=0.4))
    assert champion() == "first"
    registry.register(release("worse", "2025-03-02", ap=0.39))
    assert champion() == "first"
    registry.register(release("equal", "2025-03-03", ap=0.4))
    assert champion() == "equal"
    registry.register(release("backfill", "2025-01-01", ap=0.9))
    assert champion() == "equal"
    assert registry.resolve("models:/detector@candidate").run_id == "backfill"


def test_a_rejected_version_is_kept_and_is_nobodys_champion_or_parent(registry: Registry, release: MakeRelease) -> None:
    rejected = registry.register(release("failed-its-gate", "2025-03-01", ap=0.9, accepted=False))
    assert not rejected.accepted
    assert registry.register(release("failed-its-gate", accepted=False)) == rejected
    with pytest.raises(UsageError, match="models:/detector@champion does not exist; detector has 1"):
        registry.resolve("models:/detector@champion")
    assert registry.newest_accepted("detector", datetime(2100, 1, 1, tzinfo=UTC)) is None
    registry.register(release("good", "2025-02-01", ap=0.1))
    registry.register(release("bad-again", "2025-04-01", ap=0.9, accepted=False))
    for alias in ("candidate", "champion"):
        assert registry.resolve(f"models:/detector@{alias}").run_id == "good"
    newest = registry.newest_accepted("detector", datetime(2100, 1, 1, tzinfo=UTC))
    assert newest is not None and newest.run_id == "good"


def test_a_persons_choice_of_champion_stands(registry: Registry, release: MakeRelease) -> None:
    registry.register(release("first", "2025-03-01", ap=0.4))
    registry.register(release("second", "2025-03-02", ap=0.5))
    client_of(registry).set_registered_model_alias("detector", "champion", "1")
    registry.register(release("second", "2025-03-02", ap=0.5))
    assert registry.resolve("models:/detector@champion").run_id == "first"


def test_the_newest_accepted_version_is_found_as_of_a_date(registry: Registry, release: MakeRelease) -> None:
    for run_id, as_of in (
        ("march", "2025-03-01"),
        ("may", "2025-05-01"),
        ("april", "2025-04-01"),
        ("may2", "2025-05-01"),
    ):
        registry.register(release(run_id, as_of))

    def newest(date: str, exclude: str | None = None) -> str | None:
        found = registry.newest_accepted("detector", datetime.fromisoformat(f"{date}T00:00:00+00:00"), exclude)
        return found and found.run_id

    assert newest("2025-02-28") is None
    assert newest("2025-03-01") == "march"
    assert newest("2025-04-20") == "april", "a backfill must not see may"
    assert newest("2026-01-01") == "may2", "of equal dates the later version"
    assert newest("2026-01-01", "may2") == "may"
    client_of(registry).set_model_version_tag("detector", "3", "boxwright.accepted", "false")
    assert newest("2025-04-20") == "march"
    assert registry.newest_accepted("other", datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_dates_are_compared_across_time_zones(registry: Registry, release: MakeRelease) -> None:
    noon_in_tokyo = datetime(2025, 3, 1, 12, tzinfo=timezone(timedelta(hours=9)))
    registry.register(release("tokyo").model_copy(update={"as_of": noon_in_tokyo}))
    assert registry.newest_accepted("detector", datetime(2025, 3, 1, 2, 59, tzinfo=UTC)) is None
    assert registry.newest_accepted("detector", datetime(2025, 3, 1, 3, tzinfo=UTC)) is not None
    with pytest.raises(UsageError, match="has no time zone"):
        registry.newest_accepted("detector", datetime(2025, 3, 1))


def test_what_others_registered_is_listed_and_never_taken(registry: Registry, release: MakeRelease) -> None:
    client = client_of(registry)
    client.create_registered_model("detector")
    client.create_model_version("detector", "s3://elsewhere/model.tar.gz", tags={"boxwright.as_of": "last week"})
    assert registry.versions("detector")[0].archive_uri == "s3://elsewhere/model.tar.gz"
    assert registry.newest_accepted("detector", datetime(2100, 1, 1, tzinfo=UTC)) is None
    client.set_registered_model_alias("detector", "champion", "1")
    registry.register(release("run-1"))
    assert registry.resolve("models:/detector@champion").version == 1


def test_a_wrong_reference_lists_what_there_is(registry: Registry, release: MakeRelease) -> None:
    registry.register(release("run-1"))
    for reference, said in (
        ("models:/detector/7", r"models:/detector/7 does not exist; detector has 1, @candidate \(1\), @champion \(1\)"),
        ("models:/detector@best", "@champion"),
        ("models:/other/1", "no model other has a version; registered are detector"),
        ("models:/detector", "expected models:/name/3"),
        ("models:/x' OR name = 'detector/1", "expected models:/name/3"),
    ):
        with pytest.raises(UsageError, match=said):
            registry.resolve(reference)


def test_a_missing_picture_registers_nothing(registry: Registry, release: MakeRelease, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none.png of run run-1 does not exist"):
        registry.register(release("run-1", pictures=[tmp_path / "none.png"]))
    assert registry.versions("detector") == () and mlflow_runs(registry) == []


REGISTER = """
import sys, time
from pathlib import Path
from boxwright.registry.mlflow_registry import Registry, Release

uri, facts, mine, other = sys.argv[1:]
registry = Registry(uri)
registry.versions("detector")
Path(mine).touch()
deadline = time.monotonic() + 120
while not Path(other).exists() and time.monotonic() < deadline:
    time.sleep(0.001)
print(registry.register(Release.model_validate_json(facts)).version)
"""


def test_two_processes_make_one_version(registry: Registry, release: MakeRelease, tmp_path: Path) -> None:
    flags = [str(tmp_path / "a"), str(tmp_path / "b")]
    facts = release("run-1").model_dump_json()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", REGISTER, registry.tracking_uri, facts, *order],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for order in (flags, flags[::-1])
    ]
    answers = [process.communicate(timeout=240) for process in processes]
    assert answers == [("1\n", ""), ("1\n", "")], "and nothing of MLflow's chatter"
    assert len(registry.versions("detector")) == len(mlflow_runs(registry)) == 1


def test_a_server_that_is_away_is_one_retryable_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StorageError, match=r"http://\*\*\*@127.0.0.1:9 did not answer") as caught:
        Registry("http://user:hunter2@127.0.0.1:9").versions("detector")
    assert "\n" not in str(caught.value) and "hunter2" not in str(caught.value)
    assert caught.value.retryable


def test_a_lock_that_hangs_is_one_retryable_line(
    registry: Registry, release: MakeRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "LOCK_SECONDS", 0.1)
    waiting = Registry(registry.tracking_uri)
    with registry._lock, pytest.raises(StorageError, match=r"held .*mlflow.sqlite.lock for 0.1 s"):
        waiting.register(release("run-1"))


def test_the_registry_is_quiet(registry: Registry, release: MakeRelease, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    registry.register(release("run-1"))
    assert [record for record in caplog.records if record.name.split(".")[0] in ("mlflow", "alembic")] == []
