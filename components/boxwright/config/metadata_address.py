"""The address of ML Metadata: a SQLite file of one machine, or a PostgreSQL database that several share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from boxwright.errors import UsageError, did_you_mean, shorten

METADATA_URI = "BOXWRIGHT_METADATA_URI"
_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql", "postgres")
_DEFAULT_PORT = 5432
# What an address may say behind its `?`, in libpq's names.
_TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword")
OPTIONS = (*_TLS, "passfile", "hostaddr")
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_ENCRYPTED = ("require", "verify-ca", "verify-full")
_EXPECTED = (
    "expected sqlite:////folder/metadata.sqlite, or "
    "postgresql://USER:PASSWORD@HOST:5432/DATABASE with options such as ?sslmode=verify-full&sslrootcert=FILE"
)


@dataclass(frozen=True)
class MetadataAddress:
    """Where ML Metadata is kept. As text it has neither log-in nor options.

    Attributes:
        path: the SQLite file; None where it is PostgreSQL.
        parameters: of libpq for the PostgreSQL database, by name, password included; empty where it is SQLite.
    """

    path: Path | None = None
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, text: str) -> MetadataAddress:
        """Reads an address.

        Raises:
            UsageError: it is of another kind, a part is missing, or an option is unknown.
        """
        if text.startswith(_SQLITE) and len(text) > len(_SQLITE):
            return cls(path=Path(text.removeprefix(_SQLITE)).expanduser().resolve())
        try:
            parts = urlsplit(text)
            port = parts.port or _DEFAULT_PORT
        except ValueError:
            # What it says may be a part of the password.
            raise UsageError(
                f"{METADATA_URI} cannot be read: its port is not a number, or its password has one of / @ : # ? [ that "
                f"is not written as %2F %40 %3A %23 %3F %5B; {_EXPECTED}"
            ) from None
        if parts.scheme not in _POSTGRESQL:
            raise UsageError(f"{METADATA_URI} begins with {shorten(parts.scheme)!s}; {_EXPECTED}")
        database = unquote(parts.path.removeprefix("/"))
        missing = [
            name
            for name, value in (("user", parts.username), ("host", parts.hostname), ("database", database))
            if not value
        ]
        if missing:
            raise UsageError(f"{METADATA_URI} names no {' and no '.join(missing)}; {_EXPECTED}")
        server = {
            "host": str(parts.hostname),
            "port": str(port),
            "user": unquote(str(parts.username)),
            "dbname": database,
            **({"password": unquote(parts.password)} if parts.password else {}),
            **_options(parts),
        }
        return cls(parameters=tuple(server.items()))

    @property
    def server(self) -> dict[str, str]:
        """Its `parameters` by name."""
        return dict(self.parameters)

    @property
    def is_shared(self) -> bool:
        """Whether it is a server, which several machines can reach."""
        return self.path is None

    @property
    def encrypted(self) -> bool:
        """Whether its options ask for TLS, rather than leaving it to the server."""
        return self.server.get("sslmode") in _ENCRYPTED

    def __str__(self) -> str:
        if self.path is not None:
            return str(self.path)
        return f"postgresql://{self.server['host']}:{self.server['port']}/{self.server['dbname']}"


def _options(parts: SplitResult) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in OPTIONS:
            raise UsageError(
                f"{METADATA_URI} has the option {shorten(name)}{did_you_mean(name, OPTIONS)}; "
                f"it takes {', '.join(OPTIONS)}"
            )
        if not value:
            raise UsageError(f"{METADATA_URI}: the option {name} is empty; give it a value, or leave it out")
        found[name] = value
    if (mode := found.get("sslmode")) is not None and mode not in _MODES:
        raise UsageError(f"{METADATA_URI} has sslmode={shorten(mode)}; expected one of {', '.join(_MODES)}")
    return found
