from __future__ import annotations

from pathlib import Path

import pytest

from boxwright.config.metadata_address import MetadataAddress
from boxwright.config.settings import Settings
from boxwright.errors import UsageError

LOGIN = "postgresql://wright:s3cr%3At@db.example:6432/lineage"


def test_it_is_a_file_in_the_home_unless_it_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXWRIGHT_HOME", str(tmp_path))
    monkeypatch.delenv("BOXWRIGHT_METADATA_URI", raising=False)
    assert Settings.from_environment().metadata.path == tmp_path / "metadata.sqlite"
    monkeypatch.setenv("BOXWRIGHT_METADATA_URI", f"sqlite:///{tmp_path}/other.sqlite")
    assert Settings.from_environment().metadata == MetadataAddress(path=tmp_path / "other.sqlite")
    monkeypatch.setenv("BOXWRIGHT_METADATA_URI", LOGIN)
    assert Settings.from_environment().metadata.is_shared


def test_a_server_is_read_into_libpqs_parameters() -> None:
    found = MetadataAddress.parse(f"{LOGIN}?sslmode=verify-full&sslrootcert=/etc/ca.pem&passfile=/run/pass")
    assert found.server == {
        "host": "db.example",
        "port": "6432",
        "user": "wright",
        "password": "s3cr:t",
        "dbname": "lineage",
        "sslmode": "verify-full",
        "sslrootcert": "/etc/ca.pem",
        "passfile": "/run/pass",
    }
    assert found.encrypted and not MetadataAddress.parse(LOGIN).encrypted
    assert MetadataAddress.parse("postgres://a@b/c").server["port"] == "5432"


def test_no_text_of_it_has_the_log_in() -> None:
    found = MetadataAddress.parse(LOGIN)
    for text in (str(found), repr(found), repr(Settings(home=Path("/h"), metadata_address=found))):
        assert "s3cr" not in text and "wright" not in text.replace("boxwright", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mysql://u:s3cr@h/d", "begins with 'mysql'; expected sqlite:///"),
        ("/var/metadata.sqlite", "expected sqlite:///"),
        ("sqlite:///", "expected sqlite:///"),
        ("postgresql://u:s3cr@h:port/d", "its port is not a number, or.*expected"),
        ("postgresql://u:s3cr/et@h/d", "has one of / @ :.*written as %2F"),
        ("postgresql://h/d", "names no user"),
        ("postgresql://u:s3cr@/", "names no host and no database"),
        ("postgresql://u:s3cr@h/d?sslmod=require", r"sslmod' \(did you mean sslmode\?\); it takes sslmode"),
        ("postgresql://u:s3cr@h/d?sslmode=full", "sslmode='full'; expected one of disable"),
        ("postgresql://u:s3cr@h/d?passfile=", "option passfile is empty"),
    ],
)
def test_what_is_no_address_is_told_without_its_password(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        MetadataAddress.parse(text)
    assert "s3cr" not in str(caught.value)
