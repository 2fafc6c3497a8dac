"""A stack that stands for several machines: when it may be begun, and what its processes are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from boxwright.config.metadata_address import MetadataAddress
from boxwright.config.settings import Settings
from boxwright.errors import UsageError
from boxwright.stack import cluster
from boxwright.stack.cluster import become_cluster, is_cluster, require_programs
from boxwright.stack.environment import Stack, open_stack, stack_environment, write_files
from boxwright.stack.ports import DEFAULTS
from boxwright.stack.services import AIRFLOW, services_of, supervised_services


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "require_programs", lambda: None)


@pytest.fixture
def stack(home: Settings, programs: None) -> Stack:
    become_cluster(home)
    become_cluster(home)
    opened = open_stack(home, DEFAULTS)
    write_files(opened)
    return opened


def test_a_home_stays_what_it_began_as(home: Settings, programs: None) -> None:
    assert not is_cluster(home.home / "stack")
    (home.home / "mlflow.sqlite").touch()
    with pytest.raises(UsageError, match="began as the stack of one machine .mlflow.sqlite is there.*another home"):
        become_cluster(home)
    assert not is_cluster(home.home / "stack")


def test_what_is_missing_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="needs Redis.*on Debian apt-get install redis-server") as caught:
        require_programs()
    assert "\n" not in str(caught.value)


def test_it_has_what_one_machine_has_and_a_broker_and_workers(stack: Stack, tmp_path: Path) -> None:
    names = [service.name for service in services_of(stack)]
    one = [service.name for service in services_of(open_stack(Settings(home=tmp_path / "one"), DEFAULTS))]
    assert [name for name in names if name not in one] == ["redis", "worker-1", "worker-2"]
    assert set(one) <= set(names)


def test_all_parts_share_their_stores_and_workers_no_home(stack: Stack) -> None:
    whole = stack_environment(stack, {"BOXWRIGHT_METADATA_URI": "sqlite:////of/a/person"})
    assert MetadataAddress.parse(whole["BOXWRIGHT_METADATA_URI"]).is_shared
    assert whole["BOXWRIGHT_TUNING_URI"].startswith("postgresql://")
    assert whole["BOXWRIGHT_PIPELINE_ROOT"] == "s3://boxwright/pipeline"
    assert whole["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    told = {service.name: service.environment(whole, stack) for service in services_of(stack)}
    homes = {told[name]["BOXWRIGHT_HOME"] for name in ("worker-1", "worker-2", "scheduler")}
    assert len(homes) == 3
    assert told["mlflow"]["MLFLOW_BACKEND_STORE_URI"].startswith("postgresql://")
    assert "MLFLOW_BACKEND_STORE_URI" not in told["worker-1"]


def test_what_lives_on_a_server_that_is_away_waits_for_it_and_is_not_given_up(stack: Stack) -> None:
    may_start = {one.name: one.may_start() for one in supervised_services(stack, {})}
    waiting = {name for name, may in may_start.items() if not may}
    assert waiting == {"mlflow", "worker-1", "worker-2", *AIRFLOW}


def test_no_secret_is_in_a_list_of_processes_or_open_to_others(stack: Stack) -> None:
    for service in services_of(stack):
        shown = " ".join(service.command(stack))
        assert not [name for name, secret in stack.secrets.items() if secret in shown], service.name
    settings = stack.folder / "redis.conf"
    assert settings.stat().st_mode & 0o077 == 0 and settings.stat().st_uid == os.getuid()
    assert "appendonly yes" in settings.read_text() and stack.secrets["redis_password"] in settings.read_text()
