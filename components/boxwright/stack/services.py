"""The services of the local stack: how each is started and stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from boxwright.stack import cluster
from boxwright.stack.database import Engine, choose_engine, prepare_database, server_command, tables_version
from boxwright.stack.environment import BUCKET, Stack
from boxwright.stack.ports import GRPC_OFFSET, HOST
from boxwright.stack.readiness import api_ready, mlflow_ready, part_ready, postgres_ready, s3_ready
from boxwright.stack.supervision import Supervised

DATABASE, BROKER = "postgres", "redis"
SEAWEED_PORTS = ("s3", "s3_master", "s3_volume", "s3_filer")
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")


@dataclass(frozen=True)
class Service:
    """One server process.

    Attributes:
        name: what pid file, log and messages call it.
        command: gives program and arguments for a stack.
        ready: whether it does its work, beyond accepting connections.
        ports: names of the ports it listens on.
        grace: seconds between asking it to stop and killing it.
        migrates: whether it waits for Airflow's database to be migrated.
        withheld: beginnings of environment variables that it does not get.
        prepare: what has to be done before each start.
        keeps_work: whether children that outlive it go on with their work.
        needs: the services, as far as the stack has them, that have to be ready before it starts.
        seen_by: the service without which one cannot know whether it is ready.
        leaves: gives files that its program leaves outside of the stack's folder.
        added: gives variables of its own.
        of_cluster: whether only a stack that stands for several machines has it.
    """

    name: str
    command: Callable[[Stack], list[str]]
    ready: Callable[[Stack], bool]
    ports: tuple[str, ...] = ()
    grace: float = 10.0
    migrates: bool = False
    withheld: tuple[str, ...] = ()
    prepare: Callable[[Stack], None] = lambda stack: None
    keeps_work: bool = False
    needs: tuple[str, ...] = ()
    seen_by: str | None = None
    leaves: Callable[[Stack], list[Path]] = lambda stack: []
    added: Callable[[Stack], dict[str, str]] = lambda stack: {}
    of_cluster: bool = False

    def environment(self, whole: Mapping[str, str], stack: Stack) -> dict[str, str]:
        """Its part of the stack's environment, and what is its own."""
        kept = {name: value for name, value in whole.items() if not (self.withheld and name.startswith(self.withheld))}
        return kept | self.added(stack)


def program(name: str) -> str:
    """Path of a program that was installed beside the running Python."""
    return str(Path(sys.executable).with_name(name))


def migrate_command() -> list[str]:
    """The command that creates or upgrades Airflow's database."""
    return [program("airflow"), "db", "migrate"]


def _seaweed(stack: Stack) -> list[str]:
    data = stack.folder / "seaweedfs"
    data.mkdir(parents=True, exist_ok=True)
    ports = stack.ports
    # `security.toml` of the working directory holds the keys for what listens here beside S3.
    return [
        program("weed"),
        "server",
        f"-dir={data}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        # What is left of HTTP: S3, volumes for whoever has a signature, and pages that say that a part is there.
        "-disableHttp",
        "-filer.disableHttp",
        "-filer.allowedOrigins=",
        "-s3.allowedOrigins=",
        "-s3.iam=false",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=256",
        "-master.electionTimeout=1s",
        f"-master.port={ports['s3_master']}",
        f"-master.port.grpc={ports['s3_master'] + GRPC_OFFSET}",
        "-volume.max=200",
        "-volume.preStopSeconds=0",
        f"-volume.port={ports['s3_volume']}",
        f"-volume.port.grpc={ports['s3_volume'] + GRPC_OFFSET}",
        "-filer",
        # The path of a Unix socket may have about 100 characters: relative to the stack's folder it always fits.
        "-filer.localSocket=filer.sock",
        "-s3.localSocket=s3.sock",
        f"-filer.port={ports['s3_filer']}",
        f"-filer.port.grpc={ports['s3_filer'] + GRPC_OFFSET}",
        "-s3",
        f"-s3.port={ports['s3']}",
        f"-s3.port.grpc={ports['s3'] + GRPC_OFFSET}",
        f"-s3.config={stack.folder / 's3.json'}",
        "-s3.autoCreateBucket=false",
        "-s3.allowDeleteBucketNotEmpty=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]


def _seaweed_sockets(stack: Stack) -> list[Path]:
    """The Unix sockets of its gRPC ports: it has no setting for where they are."""
    ports = ((name.removeprefix("s3_"), stack.ports[name] + GRPC_OFFSET) for name in SEAWEED_PORTS)
    return [Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock") for part, port in ports]  # noqa: S108


def _mlflow(stack: Stack) -> list[str]:
    return [
        program("mlflow"),
        "server",
        "--app-name=basic-auth",
        f"--host={HOST}",
        f"--port={stack.ports['mlflow']}",
        "--workers=1",
        *_mlflow_store(stack),
        f"--artifacts-destination=s3://{BUCKET}/mlflow",
    ]


def _mlflow_store(stack: Stack) -> list[str]:
    # The password of PostgreSQL is in its environment, and in no list of processes.
    return [] if stack.cluster else [f"--backend-store-uri=sqlite:///{stack.home / 'mlflow.sqlite'}"]


def _mlflow_variables(stack: Stack) -> dict[str, str]:
    return {"MLFLOW_BACKEND_STORE_URI": stack.database_uri(cluster.MLFLOW)} if stack.cluster else {}


def _worker(name: str) -> Service:
    return Service(
        name,
        lambda stack: cluster.worker_command(program("airflow"), name),
        lambda stack: cluster.worker_answers(stack.broker, name),
        migrates=True,
        needs=(DATABASE, BROKER),
        added=lambda stack: cluster.added_environment(stack.home, name),
        of_cluster=True,
    )


def _airflow(part: str) -> Callable[[Stack], list[str]]:
    # api-server and tasks share a disk here, so logs need no server of their own.
    extra = ["--skip-serve-logs"] if part in ("scheduler", "triggerer") else []
    return lambda stack: [program("airflow"), part, *extra]


def _postgres(stack: Stack) -> list[str]:
    return server_command(stack.folder, stack.ports["postgres"])


def _prepare_postgres(stack: Stack) -> None:
    prepare_database(stack.folder, stack.secrets["postgres_password"])


def airflow_version() -> str:
    """The version of Airflow, whose tables the database has to have."""
    return version("apache-airflow-core")


def supervised_services(stack: Stack, environment: Mapping[str, str]) -> list[Supervised]:
    """The services of a stack as the supervisor takes them.

    Args:
        stack: whose services.
        environment: the whole environment of the stack's processes.
    """
    return [
        Supervised(
            service.name,
            partial(service.command, stack),
            service.environment(environment, stack),
            partial(_may_start, service, stack),
            partial(service.prepare, stack),
            service.keeps_work,
        )
        for service in services_of(stack)
    ]


def _may_start(service: Service, stack: Stack) -> bool:
    if service.migrates and tables_version(stack.folder) != airflow_version():
        return False
    return all(one.ready(stack) for one in services_of(stack) if one.name in service.needs)


def services_of(stack: Stack) -> tuple[Service, ...]:
    """The services of a stack, each after those that it needs."""
    postgresql = choose_engine(stack.folder) is Engine.POSTGRESQL
    return tuple(
        service
        for service in SERVICES
        if (postgresql or service.name != DATABASE) and (stack.cluster or not service.of_cluster)
    )


SERVICES = (
    Service(DATABASE, _postgres, postgres_ready, ("postgres",), withheld=("PG",), prepare=_prepare_postgres),
    # It needs 17 s to stop by itself and loses nothing when killed. Keys in its environment would make another
    # administrator of whoever they are, and stand in its log.
    Service("s3", _seaweed, s3_ready, SEAWEED_PORTS, grace=2.0, withheld=("AWS_",), leaves=_seaweed_sockets),
    Service(
        BROKER,
        lambda stack: cluster.redis_command(stack.folder),
        lambda stack: cluster.redis_answers(stack.ports["redis"], stack.secrets["redis_password"]),
        ("redis",),
        of_cluster=True,
    ),
    Service("mlflow", _mlflow, mlflow_ready, ("mlflow",), added=_mlflow_variables, needs=(DATABASE,)),
    Service("api-server", _airflow("api-server"), api_ready, ("airflow",), migrates=True, needs=(DATABASE,)),
    # What the scheduler has started, a training above all, goes on without it; the next one takes it over.
    *(
        Service(
            part,
            _airflow(part),
            part_ready(part),
            migrates=True,
            keeps_work=part == "scheduler",
            needs=(DATABASE,),
            seen_by="api-server",
        )
        for part in AIRFLOW[1:]
    ),
    *map(_worker, cluster.WORKERS),
)
