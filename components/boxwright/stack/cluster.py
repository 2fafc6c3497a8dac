"""The additional parts of a stack that stands for several machines: Redis, and Celery workers with their own homes.

The first start of a home decides whether it does, once and for all: models and lineage are in other databases then.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from boxwright.config import METADATA_URI, TUNING_URI, MetadataAddress, Settings
from boxwright.errors import UsageError
from boxwright.pipeline import DATA_QUEUE, GPU_QUEUE
from boxwright.stack.database import NAME, why_not_postgresql
from boxwright.stack.keys import write_private
from boxwright.stack.ports import HOST

WORKERS = ("worker-1", "worker-2")
# That each worker listens to.
QUEUES = ("default", DATA_QUEUE, GPU_QUEUE)
# Of each worker: what it does at a time, trainings included.
CONCURRENCY = 2
# Databases of the stack's PostgreSQL beside Airflow's own.
MLFLOW, METADATA, TUNING = "mlflow", "metadata", "tuning"
# Airflow's settings, by section and key, that a trial on three machines found necessary. `boxwright doctor` asks for
# them where another stack has workers.
WORKER_SETTINGS = {
    "celery.operation_timeout": "30",
    "celery_broker_transport_options.visibility_timeout": "604800",
    "core.dagbag_import_timeout": "300",
    "dag_processor.dag_file_processor_timeout": "300",
    # Of ten minutes (`scheduler.task_queued_timeout`) each.
    "scheduler.num_stuck_in_queued_retries": "1000",
    "workers.execution_api_timeout": "60",
}
_MARK = "cluster"
_SECONDS = 5


def is_cluster(folder: Path) -> bool:
    """Whether the stack of this folder stands for several machines."""
    return (folder / _MARK).is_file()


def become_cluster(settings: Settings) -> None:
    """Makes the stack of a home one that stands for several machines; once and for all.

    Raises:
        UsageError: it began as one machine, or a program is missing.
    """
    folder = settings.home / "stack"
    require_programs()
    if is_cluster(folder):
        return
    began = [
        path for path in (settings.home / "mlflow.sqlite", folder / "postgres", folder / "airflow") if path.exists()
    ]
    if began:
        raise UsageError(
            f"{settings.home} began as the stack of one machine ({began[0].name} is there), whose models and runs a "
            "cluster would not show: choose another home, as in `BOXWRIGHT_HOME=var-cluster boxwright up --cluster`"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _MARK).touch(mode=0o600)


def require_programs() -> None:
    """Refuses to begin without the servers that a cluster needs.

    Raises:
        UsageError: naming what to install.
    """
    if shutil.which("redis-server") is None:
        raise UsageError("a cluster needs Redis, and there is no redis-server: on Debian apt-get install redis-server")
    if reason := why_not_postgresql():
        raise UsageError(f"a cluster needs PostgreSQL, which cannot run here ({reason}): install boxwright[stack]")
    missing = [name for name in ("celery", "redis") if find_spec(name) is None]
    if missing:
        raise UsageError(f"a cluster needs {' and '.join(missing)}: install boxwright[cluster]")


def redis_url(port: int, password: str) -> str:
    """The address of the broker, with its password."""
    return f"redis://:{quote(password, safe='')}@{HOST}:{port}/0"


def redis_command(folder: Path) -> list[str]:
    """The program and arguments of Redis."""
    return [shutil.which("redis-server") or "redis-server", str(folder / "redis.conf")]


def write_redis_settings(folder: Path, port: int, password: str) -> None:
    """Writes the file that Redis reads: append-only, so that tasks that wait outlive it."""
    data = folder / "redis"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = {
        "bind": HOST,
        "port": str(port),
        "dir": str(data),
        "appendonly": "yes",
        "save": '""',
        "requirepass": password,
        "daemonize": "no",
    }
    write_private(folder / "redis.conf", "".join(f"{name} {value}\n" for name, value in lines.items()))


def redis_answers(port: int, password: str) -> bool:
    """Whether Redis takes the stack's password."""
    import redis

    try:
        client = redis.Redis(host=HOST, port=port, password=password, socket_timeout=_SECONDS)
        return bool(client.ping())
    except redis.RedisError:
        return False


def database_uri(name: str, port: int, password: str) -> str:
    """The address of one of the stack's databases, with the log-in."""
    return f"postgresql://{NAME}:{quote(password, safe='')}@{HOST}:{port}/{name}"


def metadata_address(port: int, password: str) -> MetadataAddress:
    """The address of ML Metadata."""
    return MetadataAddress.parse(database_uri(METADATA, port, password))


def worker_command(airflow: str, name: str) -> list[str]:
    """The program and arguments of a worker."""
    # Logs go to S3, and lie where the API server sees them: two on one machine could not both serve theirs.
    return [
        airflow,
        "celery",
        "worker",
        f"--celery-hostname={name}@%h",
        f"--queues={','.join(QUEUES)}",
        "--skip-serve-logs",
    ]


def worker_answers(broker: str, name: str) -> bool:
    """Whether a worker takes tasks."""
    from celery import Celery

    try:
        told = Celery(broker=broker).control.ping(timeout=2.0, limit=len(WORKERS)) or []
    # Whatever kombu raises of a broker that is away.
    except Exception:
        return False
    return any(one.startswith(f"{name}@") for answer in told for one in answer)


def worker_home(home: Path, name: str) -> Path:
    """The home of a worker, which it shares with nobody."""
    return home / "workers" / name


def added_environment(home: Path, name: str) -> dict[str, str]:
    """The variables that a worker has to itself."""
    own = worker_home(home, name)
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {"BOXWRIGHT_HOME": str(own), "BOXWRIGHT_CACHE": str(own / "cache")}


def shared_environment(port: int, password: str, bucket: str) -> dict[str, str]:
    """The variables that name the stores which all processes of a cluster share."""
    return {
        METADATA_URI: database_uri(METADATA, port, password),
        TUNING_URI: database_uri(TUNING, port, password),
        "BOXWRIGHT_PIPELINE_ROOT": f"s3://{bucket}/pipeline",
    }


def airflow_settings(broker: str, database: str, bucket: str) -> dict[str, str]:
    """Airflow's settings where tasks go to workers."""
    return {
        "core__executor": "CeleryExecutor",
        "core__parallelism": str(len(WORKERS) * CONCURRENCY),
        "core__hostname_callable": "airflow.utils.net.get_host_ip_address",
        "celery__broker_url": broker,
        "celery__result_backend": f"db+{database}",
        "celery__worker_concurrency": str(CONCURRENCY),
        # Another worker takes over what one was at that is not heard of for so long.
        "scheduler__task_instance_heartbeat_timeout": "60",
        "logging__remote_logging": "True",
        "logging__remote_base_log_folder": f"s3://{bucket}/logs",
        **{name.replace(".", "__"): value for name, value in WORKER_SETTINGS.items()},
    }
