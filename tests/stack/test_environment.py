from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from boxwright.config.settings import Settings
from boxwright.errors import UsageError
from boxwright.stack.environment import Stack, open_stack, require_checkout, stack_environment, write_files
from boxwright.stack.ports import DEFAULTS
from boxwright.stack.progress import addresses, show_addresses


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    opened = open_stack(Settings(home=tmp_path), DEFAULTS)
    write_files(opened)
    return opened


def test_no_file_with_a_secret_can_be_read_by_others(stack: Stack) -> None:
    texts = [secret for secret in stack.secrets.values()]
    holding = [
        path for path in stack.home.rglob("*") if path.is_file() and any(secret in path.read_text() for secret in texts)
    ]
    assert {path.name for path in holding} == {
        "secrets.json",
        "s3.json",
        "airflow-passwords.json",
        "env",
        "security.toml",
        "seaweedfs.pem",
        "mlflow-auth.ini",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in holding} == {0o600}


def test_secrets_stay_the_same_and_differ_between_homes(stack: Stack, tmp_path: Path) -> None:
    assert open_stack(Settings(home=stack.home), DEFAULTS).secrets == stack.secrets
    other = open_stack(Settings(home=tmp_path / "other"), DEFAULTS)
    assert not set(other.secrets.values()) & set(stack.secrets.values())


def test_a_stack_does_not_print_its_secrets(stack: Stack) -> None:
    assert not any(secret in repr(stack) for secret in stack.secrets.values())


def test_a_persons_own_aws_and_airflow_settings_do_not_get_in(stack: Stack) -> None:
    base = {"AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "t", "AIRFLOW__CORE__LOAD_EXAMPLES": "True", "PATH": "/bin"}
    made = stack_environment(stack, base | {"NO_PROXY": "intra"})
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN"} & made.keys()
    assert made["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert made["AWS_ENDPOINT_URL"] == "http://127.0.0.1:8333"
    assert made["PATH"] == "/bin"
    assert made["NO_PROXY"] == "intra,127.0.0.1,localhost"


def test_runs_in_the_stack_name_its_bucket_and_what_its_owner_allows(stack: Stack) -> None:
    assert stack_environment(stack, {})["BOXWRIGHT_ALLOWED_URIS"] == "s3://boxwright"
    made = stack_environment(stack, {"BOXWRIGHT_ALLOWED_URIS": "/data", "BOXWRIGHT_ALLOWED_CONNECTIONS": "lake"})
    assert made["BOXWRIGHT_ALLOWED_URIS"] == "s3://boxwright,/data"
    assert made["BOXWRIGHT_ALLOWED_CONNECTIONS"] == "lake"
    assert "BOXWRIGHT_ALLOWED" not in (stack.folder / "env").read_text(), "a shell is its owner's"


def test_a_shell_can_source_the_env_file(stack: Stack) -> None:
    script = f"set -a; . {stack.folder / 'env'}; env"
    lines = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"AWS_SECRET_ACCESS_KEY={stack.secrets['s3_secret_key']}" in lines
    assert f"BOXWRIGHT_HOME={stack.home}" in lines


def test_a_shell_can_log_in_to_airflow_and_the_stacks_processes_are_not_told_how(stack: Stack) -> None:
    lines = (stack.folder / "env").read_text().splitlines()
    assert {f"BOXWRIGHT_AIRFLOW_URL={stack.airflow_url}", f"BOXWRIGHT_AIRFLOW_PASSWORD={stack.password}"} <= set(lines)
    sourced = {"BOXWRIGHT_AIRFLOW_URL": stack.airflow_url, "BOXWRIGHT_AIRFLOW_PASSWORD": stack.password}
    assert not sourced.keys() & stack_environment(stack, sourced).keys()


def test_addresses_and_the_command_for_a_shell_are_whole_on_a_narrow_terminal(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    show_addresses(Console(width=40, force_terminal=True, color_system=None), stack)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(f"{one['address']}  " in line for one, line in zip(addresses(stack).values(), lines, strict=False))
    assert lines[0].endswith(f"admin / {stack.password}")
    assert lines[3].endswith(f": set -a; . {stack.folder / 'env'}; set +a")


def test_a_stack_without_its_dags_is_refused_with_what_to_do(tmp_path: Path) -> None:
    require_checkout()
    with pytest.raises(UsageError, match="needs a checkout of Boxwright"):
        require_checkout(tmp_path)


def test_the_processes_of_a_stack_run_the_code_of_its_checkout(stack: Stack) -> None:
    first, second, *_ = stack_environment(stack, {"PYTHONPATH": "/elsewhere"})["PYTHONPATH"].split(os.pathsep)
    assert (Path(first, "boxwright").is_dir(), Path(second, "boxwright_airflow").is_dir()) == (True, True)
