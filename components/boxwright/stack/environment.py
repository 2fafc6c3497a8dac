"""The environment of all processes of the local stack: addresses, credentials, Airflow's settings."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from boxwright.config import METADATA_URI, SAMPLE_URI, TUNING_URI, Limit, Settings
from boxwright.errors import UsageError
from boxwright.stack import cluster
from boxwright.stack.database import database_url
from boxwright.stack.keys import load_secrets, write_mlflow_keys, write_private, write_seaweed_keys
from boxwright.stack.ports import HOST, Ports, configured_ports, load_ports

REPOSITORY = Path(__file__).resolve().parents[3]
BUCKET = "boxwright"
# Where results go unless a run says otherwise.
RESULTS = f"s3://{BUCKET}/runs"
# A dataset to begin with, which `boxwright.stack.sample` draws.
SAMPLE_IMAGES = 200
ADMIN = "admin"
# Where the Airflow is that commands talk to; the local stack where the first is unset.
URL, USER, PASSWORD = (f"BOXWRIGHT_AIRFLOW_{name}" for name in ("URL", "USER", "PASSWORD"))
MLFLOW_AUTH = "mlflow-auth.ini"
REGION = "us-east-1"
# A person's own AWS set-up must not win over the local S3, nor an Airflow or MLflow of theirs over ours.
DROPPED = (
    URL,
    USER,
    PASSWORD,
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_S3",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    METADATA_URI,
    TUNING_URI,
    "BOXWRIGHT_PIPELINE_ROOT",
    "BOXWRIGHT_CHECKPOINT_URI",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_AUTH_ADMIN_USERNAME",
    "MLFLOW_AUTH_ADMIN_PASSWORD",
    "PGOPTIONS",
    "PGSERVICE",
    "PGSSLMODE",
)


def require_checkout(repository: Path = REPOSITORY) -> None:
    """Refuses to start a stack without the DAGs, which no wheel holds.

    Raises:
        UsageError: the package was installed, it does not run from a checkout.
    """
    if not (repository / "dags").is_dir():
        raise UsageError(
            f"the stack of one machine needs a checkout of Boxwright, and {repository} holds no dags/ and plugins/: "
            "clone the repository and run `make up` there, or put its dags/ and plugins/ into an Airflow of your own"
        )


@dataclass(frozen=True)
class Stack:
    """The addresses and credentials of a stack.

    Attributes:
        home: `Settings.home`; state goes to its sub-folders.
        ports: port by name, see `boxwright.stack.ports`.
        secrets: passwords and keys by name; never printed except for the log-in of Airflow.
    """

    home: Path
    ports: Ports
    secrets: dict[str, str] = field(repr=False)

    @property
    def folder(self) -> Path:
        """Folder of pids, logs, secrets and databases."""
        return self.home / "stack"

    @property
    def airflow_home(self) -> Path:
        """`AIRFLOW_HOME`: Airflow's task logs, and its database where that is SQLite."""
        return self.folder / "airflow"

    @cached_property
    def s3_url(self) -> str:
        """Address of the S3 server."""
        return f"http://{HOST}:{self.ports['s3']}"

    @cached_property
    def mlflow_url(self) -> str:
        """Address of MLflow."""
        return f"http://{HOST}:{self.ports['mlflow']}"

    @cached_property
    def airflow_url(self) -> str:
        """Address of Airflow."""
        return f"http://{HOST}:{self.ports['airflow']}"

    @property
    def cluster(self) -> bool:
        """Whether it stands for several machines."""
        return cluster.is_cluster(self.folder)

    @property
    def broker(self) -> str:
        """Address of Redis, with its password."""
        return cluster.redis_url(self.ports["redis"], self.secrets["redis_password"])

    def database_uri(self, name: str) -> str:
        """Address of another database of its PostgreSQL, with the log-in."""
        return cluster.database_uri(name, self.ports["postgres"], self.secrets["postgres_password"])

    @property
    def database_url(self) -> str:
        """Address of Airflow's database, with its password."""
        return database_url(self.folder, self.ports["postgres"], self.secrets["postgres_password"])

    @property
    def password(self) -> str:
        """Password of Airflow's user `admin`."""
        return self.secrets["airflow_password"]


def stack_environment(stack: Stack, base: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of the processes of a stack.

    Args:
        stack: whose addresses and credentials to use.
        base: environment to start from, usually `os.environ`.

    Returns:
        A new mapping: `base` without settings that would compete, and with `added_environment` on top.
    """
    kept = {key: value for key, value in base.items() if key not in DROPPED and not key.startswith("AIRFLOW_")}
    no_proxy = ",".join(part for part in (base.get("NO_PROXY") or base.get("no_proxy"), HOST, "localhost") if part)
    # The code of this tree, whatever else is installed.
    own_code = (str(REPOSITORY / folder) for folder in ("components", "plugins"))
    python_path = os.pathsep.join(part for part in (*own_code, base.get("PYTHONPATH")) if part)
    own = {"NO_PROXY": no_proxy, "no_proxy": no_proxy, "PYTHONPATH": python_path}
    of_mlflow = {
        "MLFLOW_AUTH_CONFIG_PATH": str(stack.folder / MLFLOW_AUTH),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": stack.secrets["mlflow_secret_key"],
    }
    # Who starts runs in this Airflow names what lies in the stack's own bucket, and what its owner allows beside it.
    allowed = ",".join(part for part in (f"s3://{BUCKET}", base.get(Limit.URIS)) if part)
    ours = {str(Limit.URIS): allowed, SAMPLE_URI: sample_uri(SAMPLE_IMAGES)}
    return kept | own | added_environment(stack) | of_mlflow | ours


def sample_uri(images: int) -> str:
    """The place of a sample of so many images in the stack's bucket; its splits lie below."""
    return f"s3://{BUCKET}/datasets/sample-{images}"


def added_environment(stack: Stack) -> dict[str, str]:
    """The variables that a shell or process needs to talk to the stack: S3, MLflow, Boxwright, Airflow."""
    return {
        "BOXWRIGHT_HOME": str(stack.home),
        "AWS_ENDPOINT_URL": stack.s3_url,
        "AWS_ACCESS_KEY_ID": stack.secrets["s3_access_key"],
        "AWS_SECRET_ACCESS_KEY": stack.secrets["s3_secret_key"],
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLFLOW_TRACKING_URI": stack.mlflow_url,
        "MLFLOW_TRACKING_USERNAME": ADMIN,
        "MLFLOW_TRACKING_PASSWORD": stack.secrets["mlflow_password"],
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",
        "AIRFLOW_HOME": str(stack.airflow_home),
        **_shared(stack),
        **{f"AIRFLOW__{key.upper()}": value for key, value in _airflow_settings(stack).items()},
    }


def _shared(stack: Stack) -> dict[str, str]:
    if not stack.cluster:
        return {}
    return cluster.shared_environment(stack.ports["postgres"], stack.secrets["postgres_password"], BUCKET)


def _airflow_settings(stack: Stack) -> dict[str, str]:
    several = cluster.airflow_settings(stack.broker, stack.database_url, BUCKET) if stack.cluster else {}
    return {
        "core__dags_folder": str(REPOSITORY / "dags"),
        "core__plugins_folder": str(REPOSITORY / "plugins"),
        "core__load_examples": "False",
        "core__executor": "boxwright_airflow.local_executor.AdoptingLocalExecutor",
        "core__parallelism": "2",
        "core__execution_api_server_url": f"{stack.airflow_url}/execution/",
        "core__fernet_key": stack.secrets["fernet_key"],
        "core__simple_auth_manager_users": f"{ADMIN}:admin",
        "core__simple_auth_manager_passwords_file": str(stack.folder / "airflow-passwords.json"),
        "core__simple_auth_manager_all_admins": "False",
        "database__sql_alchemy_conn": stack.database_url,
        "api__host": HOST,
        "api__port": str(stack.ports["airflow"]),
        "api__base_url": stack.airflow_url,
        "api__workers": "1",
        "api__secret_key": stack.secrets["api_secret_key"],
        "api_auth__jwt_secret": stack.secrets["jwt_secret"],
        # Servers come back in a minute, on a busy machine in some more. Tasks wait for the api-server so long, and a
        # scheduler looks at once for those of the one before it.
        "scheduler__task_instance_heartbeat_timeout": "600",
        "scheduler__orphaned_tasks_check_interval": "30",
        "workers__max_failed_heartbeats": "20",
        "workers__execution_api_retries": "20",
        "workers__execution_api_retry_wait_max": "10",
        "logging__base_log_folder": str(stack.airflow_home / "logs"),
        # A DAG takes two seconds to parse, and on a machine that trains it may take many times as long.
        "core__dagbag_import_timeout": "150",
        "dag_processor__dag_file_processor_timeout": "180",
        "dag_processor__parsing_processes": "1",
        "dag_processor__refresh_interval": "30",
        "usage_data_collection__enabled": "False",
        **several,
    }


def find_stack(settings: Settings) -> Stack:
    """The stack of this home with the ports it was last started with, or those of the environment.

    Raises:
        UsageError: if a `BOXWRIGHT_PORT_` variable holds no port number.
    """
    return open_stack(settings, load_ports(ports_path(settings)) or configured_ports())


def ports_path(settings: Settings) -> Path:
    """The file with the ports that the stack was last started with."""
    return settings.home / "stack" / "ports.json"


def open_stack(settings: Settings, ports: Ports) -> Stack:
    """Reads the stack's secrets, making them on the first call."""
    return Stack(home=settings.home, ports=ports, secrets=load_secrets(settings.home / "stack" / "secrets.json"))


def write_files(stack: Stack) -> None:
    """Writes the files that the servers read, all for the owner's eyes only.

    `s3.json` holds the identity SeaweedFS knows, `security.toml` the keys with which its parts know each other,
    `mlflow-auth.ini` and `airflow-passwords.json` the log-ins, and `env` what a shell sources
    (`set -a; . var/stack/env`) to use the stack, log-in included.
    """
    stack.airflow_home.mkdir(parents=True, exist_ok=True)
    if stack.cluster:
        cluster.write_redis_settings(stack.folder, stack.ports["redis"], stack.secrets["redis_password"])
    identity = {
        "name": BUCKET,
        "credentials": [{"accessKey": stack.secrets["s3_access_key"], "secretKey": stack.secrets["s3_secret_key"]}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    write_private(stack.folder / "s3.json", json.dumps({"identities": [identity]}))
    write_seaweed_keys(stack.folder, stack.secrets)
    users = stack.folder / "mlflow-users.sqlite"
    write_mlflow_keys(stack.folder / MLFLOW_AUTH, users, ADMIN, stack.secrets["mlflow_password"])
    write_private(stack.folder / "airflow-passwords.json", json.dumps({ADMIN: stack.password}))
    of_a_shell = added_environment(stack) | {URL: stack.airflow_url, USER: ADMIN, PASSWORD: stack.password}
    lines = [f"{name}={shlex.quote(value)}" for name, value in of_a_shell.items()]
    write_private(stack.folder / "env", "\n".join(lines) + "\n")
