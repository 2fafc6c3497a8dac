from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from boxwright.errors import DataError, StorageError, UsageError
from boxwright.registry import opening
from boxwright.registry.opening import open_registry
from boxwright.registry.port import Registry, Release, ReleasedFormat
from boxwright.registry.writer_lock import WriterLock

MakeRelease = Callable[..., Release]
ROOT = Path(__file__).resolve().parents[2]


def mlflow_runs(mlflow: MlflowClient) -> list[Any]:
    return list(mlflow.search_runs([experiment.experiment_id for experiment in mlflow.search_experiments()]))


def test_a_version_holds_the_facts_of_its_run(
    registry: Registry, mlflow: MlflowClient, release: MakeRelease, tmp_path: Path
) -> None:
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

    (run,) = mlflow_runs(mlflow)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == made.metrics
    assert run.data.params == {"model_id": made.model_id, "epochs": "3"}
    (picture,) = mlflow.list_artifacts(run.info.run_id, "pictures")
    assert picture.path == "pictures/predictions.png"
    assert mlflow.get_model_version("detector", "1").run_id == run.info.run_id


def test_a_version_names_its_formats(registry: Registry, release: MakeRelease) -> None:
    found = ReleasedFormat(name="litert:float16", ap_difference=-0.0012, ms=14.26, mb=6.7)
    assert registry.register(release("run-1")).formats == () and not registry.resolve("models:/detector/1").has_formats
    version = registry.register(release("run-2", formats=(found,)))
    assert version.formats == (found,) and version.has_formats
    assert registry.register(release("run-3", formats=())).has_formats, "somebody looked, and there is none"
    spoilt = replace(version, tags=version.tags | {"boxwright.formats": "litert"})
    assert spoilt.formats == () and spoilt.metrics


def test_a_database_file_has_its_pictures_beside_it(store: Path, release: MakeRelease, tmp_path: Path) -> None:
    open_registry(f"sqlite:///{store}").register(release("run-1"))
    assert list(tmp_path.glob("mlartifacts/detector/*/artifacts/pictures/predictions.png"))


def test_a_run_without_a_version_ends_as_failed_until_it_gets_one(
    registry: Registry, mlflow: MlflowClient, release: MakeRelease
) -> None:
    for _ in range(2):
        registry.record_failure(release("run-1"))
        (run,) = mlflow_runs(mlflow)
        assert run.info.status == "FAILED" and run.data.metrics == release("run-1").metrics
        assert mlflow.list_artifacts(run.info.run_id, "pictures")
    assert not registry.versions("detector")
    registry.register(release("run-1"))
    assert [run.info.status for run in mlflow_runs(mlflow)] == ["FINISHED"]


def test_registering_again_finds_the_version(registry: Registry, mlflow: MlflowClient, release: MakeRelease) -> None:
    first = registry.register(release("run-1"))
    second = registry.register(release("run-2"))
    assert registry.register(release("run-1")) == first
    assert registry.register(release("run-1", ap=0.9)) == first
    assert registry.versions("detector") == (first, second)
    assert len(mlflow_runs(mlflow)) == 2
    assert registry.resolve("models:/detector@candidate") == second, "an older run must not take candidate back"


@pytest.mark.parametrize("crash_in", ["create_version", "set_alias", "end_run"])
def test_a_crash_halfway_is_repaired(
    crash_in: str,
    registry: Registry,
    tracking_uri: str,
    mlflow: MlflowClient,
    release: MakeRelease,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The call itself is done, and then the process is gone."""
    client = registry._client
    real = getattr(client, crash_in)

    def crash(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(client, crash_in, crash)
        with pytest.raises(KeyboardInterrupt):
            registry.register(release("run-1"))
    version = open_registry(tracking_uri).register(release("run-1"))
    assert registry.versions("detector") == (version,)
    assert registry.resolve("models:/detector@champion") == registry.resolve("models:/detector@candidate") == version
    (run,) = mlflow_runs(mlflow)
    assert run.info.status == "FINISHED"


def test_a_crash_while_logging_doubles_no_metric(
    registry: Registry, mlflow: MlflowClient, release: MakeRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(registry._client, "log_file", crash)
        with pytest.raises(KeyboardInterrupt):
            registry.register(release("run-1"))
    assert registry.versions("detector") == ()
    registry.register(release("run-1"))
    (run,) = mlflow_runs(mlflow)
    assert len(mlflow.get_metric_history(run.info.run_id, "AP")) == 1


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


def test_a_persons_choice_of_champion_stands(registry: Registry, mlflow: MlflowClient, release: MakeRelease) -> None:
    registry.register(release("first", "2025-03-01", ap=0.4))
    registry.register(release("second", "2025-03-02", ap=0.5))
    mlflow.set_registered_model_alias("detector", "champion", "1")
    registry.register(release("second", "2025-03-02", ap=0.5))
    assert registry.resolve("models:/detector@champion").run_id == "first"


def test_the_newest_accepted_version_is_found_as_of_a_date(
    registry: Registry, mlflow: MlflowClient, release: MakeRelease
) -> None:
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
    mlflow.set_model_version_tag("detector", "3", "boxwright.accepted", "false")
    assert newest("2025-04-20") == "march"
    assert registry.newest_accepted("other", datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_dates_are_compared_across_time_zones(registry: Registry, release: MakeRelease) -> None:
    noon_in_tokyo = datetime(2025, 3, 1, 12, tzinfo=timezone(timedelta(hours=9)))
    registry.register(release("tokyo").model_copy(update={"as_of": noon_in_tokyo}))
    assert registry.newest_accepted("detector", datetime(2025, 3, 1, 2, 59, tzinfo=UTC)) is None
    assert registry.newest_accepted("detector", datetime(2025, 3, 1, 3, tzinfo=UTC)) is not None
    with pytest.raises(UsageError, match="has no time zone"):
        registry.newest_accepted("detector", datetime(2025, 3, 1))


def test_what_others_registered_is_listed_and_never_taken(
    registry: Registry, mlflow: MlflowClient, release: MakeRelease
) -> None:
    mlflow.create_registered_model("detector")
    mlflow.create_model_version("detector", "s3://elsewhere/model.tar.gz", tags={"boxwright.as_of": "last week"})
    assert registry.versions("detector")[0].archive_uri == "s3://elsewhere/model.tar.gz"
    assert registry.newest_accepted("detector", datetime(2100, 1, 1, tzinfo=UTC)) is None
    mlflow.set_registered_model_alias("detector", "champion", "1")
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


def test_a_bare_name_is_its_newest_accepted_version(registry: Registry, release: MakeRelease) -> None:
    made = registry.register(release("run-1"))
    registry.register(release("failed-its-gate", accepted=False))
    assert registry.resolve("detector") == registry.named("detector", "candidate") == made
    assert registry.named("detector", "previous") is registry.named("other", "champion") is None
    assert [(model.name, model.aliases) for model in registry.models()] == [
        ("detector", {"candidate": 1, "champion": 1})
    ]


def test_versions_are_read_newest_first_a_page_at_a_time(registry: Registry, release: MakeRelease) -> None:
    made = [registry.register(release(f"run-{number}", model_name=f"model-{number % 2}")) for number in range(5)]
    pages = list(registry.recent(2))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [one.run_id for page in pages for one in page] == [one.run_id for one in reversed(made)]


def test_what_a_recipe_made_is_found(registry: Registry, release: MakeRelease) -> None:
    first, _, third = (registry.register(release(f"run-{place}", recipe=recipe)) for place, recipe in enumerate("aba"))
    assert registry.made_by("detector", "a") == (first, third)
    assert registry.made_by("detector", "A") == registry.made_by("other", "a") == ()


def test_pages_are_where_there_is_a_server(
    registry: Registry, mlflow: MlflowClient, tracking_uri: str, release: MakeRelease
) -> None:
    version = registry.register(release("run-1"))
    (run,) = mlflow_runs(mlflow)
    pages = registry.run_page("detector", "run-1"), registry.version_page(version)
    if tracking_uri.startswith("sqlite"):
        assert pages == (None, None)
    else:
        root = f"{tracking_uri}/#"
        experiment = run.info.experiment_id
        assert pages == (
            f"{root}/experiments/{experiment}/runs/{run.info.run_id}", f"{root}/models/detector/versions/1"
        )  # fmt: skip
        assert registry.run_page("detector", "run-2") is registry.run_page("other", "run-1") is None


def test_a_missing_picture_registers_nothing(
    registry: Registry, mlflow: MlflowClient, release: MakeRelease, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="none.png of run run-1 does not exist"):
        registry.register(release("run-1", pictures=[tmp_path / "none.png"]))
    assert registry.versions("detector") == () and mlflow_runs(mlflow) == []


REGISTER = """
import sys, time
from pathlib import Path
from boxwright.registry.opening import open_registry
from boxwright.registry.port import Release

uri, facts, mine, other = sys.argv[1:]
registry = open_registry(uri)
registry.versions("detector")
Path(mine).touch()
deadline = time.monotonic() + 120
while not Path(other).exists() and time.monotonic() < deadline:
    time.sleep(0.001)
print(registry.register(Release.model_validate_json(facts)).version)
"""


def test_two_processes_make_one_version(
    registry: Registry, tracking_uri: str, mlflow: MlflowClient, release: MakeRelease, tmp_path: Path
) -> None:
    flags = [str(tmp_path / "a"), str(tmp_path / "b")]
    facts = release("run-1").model_dump_json()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", REGISTER, tracking_uri, facts, *order],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for order in (flags, flags[::-1])
    ]
    answers = [process.communicate(timeout=240) for process in processes]
    assert answers == [("1\n", ""), ("1\n", "")], "and nothing of MLflow's chatter"
    assert len(registry.versions("detector")) == len(mlflow_runs(mlflow)) == 1


@pytest.mark.parametrize("only_by_library", [False, True])
def test_a_server_that_is_away_is_one_retryable_line(only_by_library: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    if only_by_library:
        monkeypatch.setattr(opening, "_REGISTRIES", {})
    with pytest.raises(StorageError, match=r"http://(\*\*\*@)?127.0.0.1:9 did not answer") as caught:
        open_registry("http://user:hunter2@127.0.0.1:9").versions("detector")
    assert "\n" not in str(caught.value) and "hunter2" not in str(caught.value)
    assert caught.value.retryable


@pytest.mark.parametrize("uri", ["sqlite:////data/mlflow.sqlite", "databricks", "file:///data"])
def test_a_store_that_takes_seconds_to_load_is_refused_where_people_wait(uri: str) -> None:
    with pytest.raises(UsageError, match="boxwright up"):
        open_registry(uri, quick=True)


def test_a_lock_that_hangs_is_one_retryable_line(store: Path, release: MakeRelease) -> None:
    uri = f"sqlite:///{store}"
    waiting = open_registry(uri)
    waiting._lock = WriterLock(uri, 0.1)
    with WriterLock(uri), pytest.raises(StorageError, match=r"held .*mlflow.sqlite.lock for 0.1 s"):
        waiting.register(release("run-1"))


def test_the_registry_is_quiet(registry: Registry, release: MakeRelease, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    registry.register(release("run-1"))
    assert [record for record in caplog.records if record.name.split(".")[0] in ("mlflow", "alembic")] == []


def test_aliases_come_with_the_version_and_latest_is_none_of_ours(registry: Registry, release: MakeRelease) -> None:
    registry.register(release("run-1"))
    registry.register(release("run-2", accepted=False))
    assert registry.resolve("models:/detector@champion").aliases == ("candidate", "champion")
    assert registry.resolve("models:/detector/1").aliases == ("candidate", "champion")
    assert registry.named("detector", "previous") is None and registry.named("nothing", "champion") is None
    for alias in ("latest", "Latest", "best"):
        with pytest.raises(UsageError, match=rf"@{alias} does not exist; detector has 1, 2, @candidate \(1\)"):
            registry.resolve(f"models:/detector@{alias}")


@pytest.mark.parametrize("run_id", ["x' OR name = 'y", "a\nb"])
def test_a_run_id_does_not_become_a_condition(registry: Registry, run_id: str) -> None:
    with pytest.raises(UsageError, match="no quotes and no control characters"):
        registry.begin_training("detector", run_id, {})
