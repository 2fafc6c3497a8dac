"""Passwords and keys of the local stack, and the files in which its servers read them.

Each is made once, at the first start, and kept in `secrets.json`. SeaweedFS consists of servers that talk to each other
beside the S3 server; without keys, every program of the machine and every web page could talk to them as well.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

# Signs what SeaweedFS' parts ask of each other over HTTP: writes and reads of volumes, writes and reads of the filer.
_SIGNING = {
    "jwt.signing": "weed_volume_write",
    "jwt.signing.read": "weed_volume_read",
    "jwt.filer_signing": "weed_filer_write",
    "jwt.filer_signing.read": "weed_filer_read",
}
_TLS = "weed_tls"
# Parts that take and make gRPC calls.
_GRPC = ("master", "volume", "filer", "s3", "client")
_LIFETIME = datetime.timedelta(days=36500)


def _tls_pair() -> str:
    """A private key and the certificate that it signs itself, as PEM: who has them is a part of this SeaweedFS."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "boxwright")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (private + certificate.public_bytes(pem)).decode()


_MAKERS: dict[str, Callable[[], str]] = {
    "s3_access_key": lambda: secrets.token_hex(10),
    "s3_secret_key": lambda: secrets.token_urlsafe(30),
    "airflow_password": lambda: secrets.token_urlsafe(12),
    "postgres_password": lambda: secrets.token_urlsafe(30),
    "redis_password": lambda: secrets.token_urlsafe(30),
    "mlflow_password": lambda: secrets.token_urlsafe(12),
    "mlflow_secret_key": lambda: secrets.token_urlsafe(32),
    "api_secret_key": lambda: secrets.token_urlsafe(48),
    "jwt_secret": lambda: secrets.token_urlsafe(48),
    "fernet_key": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    **dict.fromkeys(_SIGNING.values(), lambda: secrets.token_urlsafe(32)),
    _TLS: _tls_pair,
}


def load_secrets(path: Path) -> dict[str, str]:
    """The stack's secrets by name; those that the file lacks are made and added to it."""
    stored: dict[str, str] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    missing = _MAKERS.keys() - stored.keys()
    if missing:
        stored |= {name: _MAKERS[name]() for name in sorted(missing)}
        write_private(path, json.dumps(stored))
    return stored


def write_seaweed_keys(folder: Path, known: Mapping[str, str]) -> None:
    """Writes `security.toml`, which SeaweedFS reads in its working directory, and the key pair that it names.

    Calls by gRPC need the pair, those by HTTP a signature; no other site's pages are let in.
    """
    pair = folder / "seaweedfs.pem"
    write_private(pair, known[_TLS])
    lines = ['[cors.allowed_origins]\nvalues = ""', "[access]\nui = false"]
    lines += ["[filer.expose_directory_metadata]\nenabled = false"]
    lines += [f"[{section}]\nkey = {json.dumps(known[name])}" for section, name in _SIGNING.items()]
    file = json.dumps(str(pair))
    lines += [f"[grpc]\nca = {file}", *(f"[grpc.{part}]\ncert = {file}\nkey = {file}" for part in _GRPC)]
    write_private(folder / "security.toml", "\n".join(lines) + "\n")


def write_mlflow_keys(path: Path, users: Path, name: str, password: str) -> None:
    """Writes the settings of MLflow's own authentication.

    Args:
        path: the file.
        users: MLflow's database of log-ins.
        name: the administrator, made at the first start.
        password: of that log-in.
    """
    # Hashing a password takes longer than most answers: one that was right is remembered for a while.
    lines = {
        "default_permission": "NO_PERMISSIONS",
        "database_uri": f"sqlite:///{users}",
        "admin_username": name,
        "admin_password": password,
        "auth_cache_ttl_seconds": "600",
    }
    text = "".join(f"{key} = {value.replace('%', '%%')}\n" for key, value in lines.items())
    write_private(path, f"[mlflow]\n{text}")


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, at no moment half written or open to others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)
