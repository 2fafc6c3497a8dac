"""ML Metadata in a PostgreSQL that takes nobody without TLS. Its server is Debian's: the stack's was built without."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from waiting import wait_for

from boxwright.config import MetadataAddress
from boxwright.errors import BoxwrightError, StorageError, UsageError
from boxwright.metadata import tls_relay
from boxwright.metadata.store import new_store
from boxwright.metadata.tables import make_tables
from boxwright.stack.database import _unprivileged
from boxwright.stack.keys import _tls_pair

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
PASSWORD = "of-tls"


@dataclass
class TlsServer:
    port: int
    certificate: Path
    folder: Path

    def uri(self, options: str, host: str = "localhost", password: str = f":{PASSWORD}") -> str:
        return f"postgresql://owner{password}@{host}:{self.port}/metadata?{options}"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    if not PROGRAMS:
        pytest.skip("no PostgreSQL with TLS: on Debian apt-get install postgresql")
    folder = tmp_path_factory.mktemp("tls")
    data, programs = folder / "data", PROGRAMS[-1].parent
    as_nobody = _unprivileged()
    made = [*as_nobody, str(programs / "initdb"), "-D", str(data), "--username=owner", "--pwfile=/dev/stdin"]
    subprocess.run([*made, "--auth=scram-sha-256"], input=PASSWORD, text=True, check=True, capture_output=True)
    pair = data / "server.pem"
    pair.write_text(_tls_pair())
    pair.chmod(0o600)
    certificate = folder / "root.pem"
    certificate.write_text(pair.read_text()[pair.read_text().index("-----BEGIN CERTIFICATE") :])
    (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    settings = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": "", "ssl": "on"}
    settings |= {"ssl_cert_file": str(pair), "ssl_key_file": str(pair)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*as_nobody, str(programs / "postgres"), "-D", str(data), *options], stderr=log)
    try:
        wait_for(lambda: "ready to accept connections" in (folder / "log").read_text(), "the server is ready")
        yield TlsServer(port, certificate, folder)
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(data)


def test_a_store_is_used_through_tls_that_checks_the_certificate(tls: TlsServer) -> None:
    address = MetadataAddress.parse(tls.uri(f"sslmode=verify-full&sslrootcert={tls.certificate}"))
    make_tables(address)
    assert [one.name for one in new_store(address).get_artifact_types_by_id([1])] == ["mlmd.Dataset"]
    # What is not asked for is used where the server has it, as libpq does.
    assert new_store(MetadataAddress.parse(tls.uri("sslmode=prefer"))).get_context_types() == []


def test_tensorflow_was_loaded_before(tls: TlsServer) -> None:
    """Its TLS library is not taken for psycopg2's own, which ended the process, also where a validation came between:
    Great Expectations imports psycopg2 as well."""
    lines = (
        "import sys, tensorflow",
        "from boxwright.config import MetadataAddress",
        "from boxwright.dataset.validation.expectations import great_expectations",
        "great_expectations()",
        "from boxwright.metadata.tables import make_tables",
        "make_tables(MetadataAddress.parse(sys.argv[1]))",
    )
    command = [sys.executable, "-c", "\n".join(lines), tls.uri("sslmode=require")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_password_in_a_file_goes_through_tls_as_well(tls: TlsServer) -> None:
    make_tables(MetadataAddress.parse(tls.uri("sslmode=require")))
    file = tls.folder / "pass"
    file.write_text(f"localhost:{tls.port}:*:owner:{PASSWORD}\n")
    file.chmod(0o600)
    address = MetadataAddress.parse(tls.uri(f"sslmode=require&passfile={file}", password=""))
    assert new_store(address).get_context_types() == []


@pytest.mark.parametrize(
    ("options", "host", "said"),
    [
        ("sslmode=verify-full", "localhost", "root certificate file .* does not exist"),
        ("sslmode=verify-full&sslrootcert={}", "127.0.0.1", "server certificate for .*does not match host name"),
        ("sslmode=disable", "localhost", "pg_hba.conf|no encryption"),
    ],
)
def test_a_server_that_is_not_who_it_should_be_is_not_used(
    tls: TlsServer, options: str, host: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError, match=said):
        make_tables(MetadataAddress.parse(tls.uri(options.format(tls.certificate), host)))


def test_the_relay_checks_for_itself(tls: TlsServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "other.pem"
    wrong.write_text(_tls_pair())
    parameters = {"host": "localhost", "port": str(tls.port), "sslmode": "verify-full", "sslrootcert": str(wrong)}
    with socket.socket(socket.AF_UNIX) as near:
        near.connect(f"{tls_relay.relay_to(parameters)}/.s.PGSQL.{tls_relay.PORT}")
        assert near.recv(1) == b"", "nothing goes on to a server whose certificate is another's"
    assert "certificate verify failed" in capfd.readouterr().err


def test_a_relay_that_cannot_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(BoxwrightError, match="does not start") as caught:
        tls_relay.relay_to({"host": "h", "port": "1", "sslmode": "verify-full", "sslrootcert": str(tmp_path / "none")})
    assert caught.type is StorageError
