"""Nobody without a key gets at what the stack keeps: every port that its servers listen on is tried."""

from __future__ import annotations

import stat
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import httpx
import psutil
import pytest

from boxwright.stack import manager
from boxwright.stack.environment import ADMIN
from boxwright.stack.ports import GRPC_OFFSET
from boxwright.stack.supervisor import NAME

if TYPE_CHECKING:
    from live.conftest import LiveStack

SECRET = b"what only the stack's owner may read"
KEY = "closed/secret.txt"
EVIL = {"Origin": "https://evil.example", "Referer": "https://evil.example/"}
PREFLIGHT = {"Access-Control-Request-Method": "PUT"}
PARTS = ("s3", "s3_master", "s3_volume", "s3_filer")
# What a reader tries: S3's own names, the filer's, the master's ways to a volume, pages and states.
READS = (
    f"/boxwright/{KEY}", f"/buckets/boxwright/{KEY}", "/boxwright?list-type=2", "/buckets/boxwright/",
    "/buckets?pretty=y", "/dir/assign", "/dir/lookup?volumeId=1", "/dir/status", "/vol/status", "/vol/grow?count=1",
    "/col/delete?collection=boxwright", "/cluster/status", "/1,01637037d6", "/2,01637037d6", "/ui/index.html",
    "/status", "/stats/disk", "/metrics", "/healthz", "/",
)  # fmt: skip
CALLS = {
    "s3_master": ("/master_pb.Seaweed/Assign", "/master_pb.Seaweed/VolumeList", "/master_pb.Seaweed/CollectionDelete"),
    "s3_volume": ("/volume_server_pb.VolumeServer/VolumeServerStatus", "/volume_server_pb.VolumeServer/ReadAllNeedles"),
    "s3_filer": ("/filer_pb.SeaweedFiler/GetFilerConfiguration", "/filer_pb.SeaweedFiler/ListEntries"),
    "s3": ("/messaging_pb.SeaweedS3IamCache/PutIdentity",),
}


@pytest.fixture(scope="module")
def secret(stack: LiveStack) -> Iterator[str]:
    """The key of an object that only the stack's owner may read."""
    stack.s3.put_object(Bucket="boxwright", Key=KEY, Body=SECRET)
    yield KEY
    assert stack.s3.get_object(Bucket="boxwright", Key=KEY)["Body"].read() == SECRET, "nobody has changed it"


def listening(stack: LiveStack) -> dict[int, str]:
    """The service behind each port that the stack listens on."""
    return {
        connection.laddr.port: state.name
        for state in manager.status(stack.settings)
        if state.name != NAME  # the supervisor, whose children the others are
        for process in [psutil.Process(state.pid), *psutil.Process(state.pid).children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_every_port_of_the_storage_is_one_that_is_tried_here(stack: LiveStack) -> None:
    known = {port for name in PARTS for port in (stack.stack.ports[name], stack.stack.ports[name] + GRPC_OFFSET)}
    assert {port for port, name in listening(stack).items() if name == "s3"} == known


def for_other_sites(part: str, answer: httpx.Response) -> bool:
    """Whether a page of another site may read what the answer says; S3 and volumes let it read refusals."""
    if answer.headers.get("access-control-allow-origin") is None:
        return False
    return part in ("s3_master", "s3_filer") or (answer.is_success and bool(answer.content))


@pytest.mark.parametrize("part", PARTS)
def test_nothing_is_read_written_or_deleted_over_http_without_a_key(stack: LiveStack, secret: str, part: str) -> None:
    base = f"http://127.0.0.1:{stack.stack.ports[part]}"
    with httpx.Client(base_url=base, headers=EVIL, timeout=10, trust_env=False) as stranger:
        for path in READS:
            answer = stranger.get(path)
            assert SECRET not in answer.content and b'"auth"' not in answer.content, path
            assert not for_other_sites(part, answer), f"{path} is for other sites' pages"
            # S3 ends the connection where no bucket is named.
            with suppress(httpx.RemoteProtocolError):
                assert not for_other_sites(part, stranger.options(path, headers=PREFLIGHT)), path
        if part == "s3_volume":
            assert {stranger.get(path).status_code for path in ("/1,01637037d6", "/ui/index.html")} == {401}
        for path in (f"/boxwright/{KEY}", f"/buckets/boxwright/{KEY}", "/1,01637037d6", "/submit", "/dir/assign"):
            for method in ("PUT", "POST", "DELETE"):
                answer = stranger.request(method, path, files={"file": b"replaced"} if method != "DELETE" else None)
                assert answer.status_code in (400, 401, 403, 404, 405), f"{method} {path}: {answer.status_code}"
                assert not for_other_sites(part, answer), f"{method} {path}"
    assert stack.s3.get_object(Bucket="boxwright", Key=KEY)["Body"].read() == SECRET


@pytest.mark.parametrize("part", PARTS)
def test_nobody_calls_a_part_by_grpc_without_the_key_pair(stack: LiveStack, part: str) -> None:
    port = stack.stack.ports[part] + GRPC_OFFSET
    pair = (stack.stack.folder / "seaweedfs.pem").read_bytes()
    name = [("grpc.ssl_target_name_override", "localhost")]
    target = f"127.0.0.1:{port}"
    for method in CALLS[part]:
        for channel in (
            grpc.insecure_channel(target),
            grpc.secure_channel(target, grpc.ssl_channel_credentials(pair), name),
        ):
            with channel, pytest.raises(grpc.RpcError) as refused:
                channel.unary_unary(method)(b"", timeout=20)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    with grpc.secure_channel(target, grpc.ssl_channel_credentials(pair, pair, pair), name) as own:
        try:
            own.unary_unary(CALLS[part][0])(b"", timeout=20)
        except grpc.RpcError as answered:  # the call is made, whatever the part says to an empty question
            assert answered.code() != grpc.StatusCode.UNAVAILABLE


def test_the_filers_socket_gives_nothing_away(stack: LiveStack, secret: str) -> None:
    transport = httpx.HTTPTransport(uds=str(stack.stack.folder / "filer.sock"))
    with httpx.Client(base_url="http://filer", transport=transport) as stranger:
        for path in READS:
            assert SECRET not in stranger.get(path).content
        assert stranger.put(f"/buckets/boxwright/{KEY}", content=b"replaced").status_code in (401, 403, 404)


def test_mlflow_wants_a_log_in(stack: LiveStack) -> None:
    url = stack.stack.mlflow_url
    asked = (
        ("GET", "/"), ("GET", "/api/2.0/mlflow/registered-models/search"), ("GET", "/get-artifact"), ("GET", "/signup"),
        ("GET", "/ajax-api/2.0/mlflow/experiments/get"), ("POST", "/api/2.0/mlflow/registered-models/create"),
        ("POST", "/api/2.0/mlflow/model-versions/set-tag"), ("DELETE", "/api/2.0/mlflow/registered-models/alias"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/x/a.txt"), ("GET", "/api/2.0/mlflow-artifacts/artifacts"),
        ("POST", "/graphql"), ("GET", "/model-versions/get-artifact"), ("POST", "/api/2.0/mlflow/users/create"),
    )  # fmt: skip
    name = {"name": f"evil-{uuid.uuid4().hex}"}
    for login in (None, (ADMIN, "wrong"), (ADMIN, ""), ("", "")):
        for method, path in asked:
            answer = httpx.request(method, url + path, json=name if method == "POST" else None, auth=login, timeout=30)
            assert answer.status_code == 401, f"{method} {path} as {login}: {answer.status_code}"
    assert name["name"] not in [model.name for model in stack.registry.models()]


def test_a_page_of_another_site_changes_nothing_in_mlflow_with_the_browsers_log_in(stack: LiveStack) -> None:
    login = (ADMIN, stack.stack.secrets["mlflow_password"])
    name = f"evil-{uuid.uuid4().hex}"
    create = f"{stack.stack.mlflow_url}/api/2.0/mlflow/registered-models/create"
    answer = httpx.post(create, json={"name": name}, auth=login, headers=EVIL, timeout=30)
    assert answer.status_code == 403 and name not in [model.name for model in stack.registry.models()]


def test_what_the_stack_keeps_is_its_owners(stack: LiveStack) -> None:
    for folder in (stack.home, stack.stack.folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    made = [path for path in stack.stack.folder.rglob("*") if path.exists() and not path.is_symlink()]
    others = [path for path in made if stat.S_IMODE(path.stat().st_mode) & 0o077]
    # SeaweedFS gives the descriptions of its volumes a mode of its own.
    assert made and [path for path in others if path.suffix != ".vif"] == []


def test_no_log_holds_a_secret(stack: LiveStack) -> None:
    secrets = {name: value for name, value in stack.stack.secrets.items() if len(value) < 200}
    logs = [*(stack.stack.folder / "logs").glob("*"), *Path(stack.stack.airflow_home, "logs").rglob("*.log")]
    found = [
        (log.name, name) for log in logs for name, value in secrets.items() if value in log.read_text(errors="replace")
    ]
    assert logs and found == []
