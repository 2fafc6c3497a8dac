"""A real S3 server (SeaweedFS) on free ports in a temporary folder, for tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ACCESS_KEY, SECRET_KEY = "test-access", "test-secret-0123456789"


@dataclass
class Seaweed:
    """A running server; its one identity may do everything.

    Attributes:
        endpoint: http://127.0.0.1:port.
        environment: the AWS_* variables that lead boto3 here.
        metrics: http://127.0.0.1:port of the server's own counters, where they were asked for.
    """

    endpoint: str
    process: subprocess.Popen[bytes] = field(repr=False)
    log: Path
    metrics: str | None = None
    access_key: str = ACCESS_KEY
    secret_key: str = field(default=SECRET_KEY, repr=False)
    sockets: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self) -> Any:
        """A boto3 client with this server's credentials, whatever the environment says."""
        import boto3

        session = boto3.Session(self.access_key, self.secret_key, region_name="us-east-1")
        return session.client("s3", endpoint_url=self.endpoint)

    def make_bucket(self, name: str) -> str:
        """Creates a bucket and gives its s3:// URI."""
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def put_tree(self, folder: Path, uri: str) -> None:
        """Puts all files of a folder below an s3:// URI."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        client = self.client()
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            client.put_object(
                Bucket=bucket, Key=f"{prefix}/{path.relative_to(folder).as_posix()}".lstrip("/"), Body=path.read_bytes()
            )

    def stop(self) -> None:
        # SIGTERM takes 17 s; it keeps every object over SIGKILL, and here none is wanted.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for socket_file in self.sockets:
            socket_file.unlink(missing_ok=True)


def start(folder: Path, metrics: bool = False, ports: list[int] | None = None) -> Seaweed:
    """Starts a server with its state in `folder` and waits until a put and a get work.

    Args:
        folder: may hold the state of a server that was stopped.
        metrics: whether it counts its requests.
        ports: four to listen on; free ones if unset.
    """
    ports = ports or free_ports(4)
    counters = free_ports(1)[0] if metrics else None
    config = folder / "s3.json"
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin"],
    }
    config.write_text(json.dumps({"identities": [identity]}))
    log = folder / "weed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_command(folder, config, ports), *([f"-metricsPort={counters}"] if counters else [])],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
        )
    address = f"http://127.0.0.1:{ports[0]}"
    server = Seaweed(address, process, log, counters and f"http://127.0.0.1:{counters}", sockets=_sockets(ports))
    try:
        _wait(server)
    except BaseException:
        server.stop()
        raise
    return server


def _command(folder: Path, config: Path, ports: list[int]) -> list[str]:
    weed = Path(sys.executable).with_name("weed")
    s3_port, master_port, volume_port, filer_port = ports
    return [
        str(weed), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false",
        "-master.volumeSizeLimitMB=256", "-volume.max=200", "-volume.preStopSeconds=0", "-master.electionTimeout=1s",
        "-filer", f"-filer.localSocket={folder}/filer.sock", "-s3", f"-s3.port={s3_port}", f"-s3.config={config}",
        "-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        f"-master.port={master_port}", f"-volume.port={volume_port}", f"-filer.port={filer_port}",
    ]  # fmt: skip


def _sockets(ports: list[int]) -> tuple[Path, ...]:
    """What it leaves in /tmp when it is killed."""
    grpc = (
        f"{part}-grpc-{port + 10_000}" for part, port in zip(("s3", "master", "volume", "filer"), ports, strict=True)
    )
    return tuple(Path(f"/tmp/seaweedfs-{name}.sock") for name in (*grpc, f"s3-{ports[0]}"))


def free_ports(count: int) -> list[int]:
    """Free ports whose gRPC twins (10,000 higher) are free as well."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as grpc, socket.socket() as http:
            grpc.bind(("127.0.0.1", 0))
            port = grpc.getsockname()[1] - 10_000
            try:
                http.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def _wait(server: Seaweed, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    client = server.client()
    while True:
        try:
            with suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="probe", Body=b"ok")
            assert client.get_object(Bucket="ready", Key="probe")["Body"].read() == b"ok"
            return
        except Exception:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"SeaweedFS did not start:\n{server.log.read_text()[-2000:]}") from None
            time.sleep(0.2)
