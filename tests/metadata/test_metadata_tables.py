"""Databases of ML Metadata are made once, whoever comes first and however many come at once."""

from __future__ import annotations

import json
import logging
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as proto
from postgres_server import PASSWORD, Postgres

from boxwright.config import MetadataAddress
from boxwright.errors import StorageError, UsageError
from boxwright.metadata.store import ask, new_store, open_store
from boxwright.metadata.tables import Types, make_tables, register_types, require_tables

COUNT = "SELECT type_kind, name, count(*) FROM type GROUP BY 1, 2 HAVING count(*) > 1"
TYPES = Types(
    [proto.ArtifactType(name=f"A{number}", properties={"images": proto.INT}) for number in range(8)],
    [proto.ExecutionType(name=f"E{number}") for number in range(8)],
    [proto.ContextType(name=f"C{number}") for number in range(4)],
)
# A backslash ended ML Metadata's literal, and what came after it was read as SQL.
ODD_TEXTS = [
    "C:\\sets\\new",
    "it's \\', 1); DROP TABLE artifact; --",
    'caf\u00e9 "\u00fcber" \u2713',
    "\uf05c \uf05cb \uf05cm\\",
    "line\nline\t%s ${HOME}",
]


def first_use(uri: str, barrier: Any) -> None:
    barrier.wait()
    register_types(MetadataAddress.parse(uri), TYPES)


def test_a_store_that_was_cut_off_to_nothing_is_begun_anew_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = MetadataAddress(path=tmp_path / "metadata.sqlite")
    caplog.set_level("WARNING")
    register_types(address, TYPES)
    assert not caplog.records
    with (tmp_path / "metadata.sqlite").open("r+b") as file:
        file.truncate(0)
    require_tables.cache_clear()
    register_types(address, TYPES)
    (record,) = caplog.records
    assert f"{tmp_path}/metadata.sqlite is empty" in record.getMessage() and "backup" in record.getMessage()
    assert len(open_store(address).get_artifact_types()) >= len(TYPES.artifacts)


@pytest.fixture
def uri(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_eight_first_users_at_once_make_each_type_once(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    uri = request.getfixturevalue("uri") if kind == "postgresql" else f"sqlite:///{tmp_path}/new/metadata.sqlite"
    forking = multiprocessing.get_context("fork")
    barrier = forking.Barrier(8)
    users = [forking.Process(target=first_use, args=(uri, barrier)) for _ in range(8)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert [user.exitcode for user in users] == [0] * 8
    store = open_store(MetadataAddress.parse(uri))
    names = [
        one.name for one in (*store.get_artifact_types(), *store.get_execution_types(), *store.get_context_types())
    ]
    own = sorted(name for name in names if not name.startswith("mlmd."))
    assert own == sorted(one.name for one in (*TYPES.artifacts, *TYPES.executions, *TYPES.contexts))
    if kind == "postgresql":
        assert request.getfixturevalue("postgres").query(uri, COUNT) == []


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
@pytest.mark.parametrize("text", [*ODD_TEXTS, json.dumps(ODD_TEXTS)])
def test_any_text_comes_back_as_it_was(text: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    uri = request.getfixturevalue("uri") if kind == "postgresql" else f"sqlite:///{tmp_path}/metadata.sqlite"
    address = MetadataAddress.parse(uri)
    register_types(address, Types([proto.ArtifactType(name="Said", properties={"text": proto.STRING})], [], []))
    store = open_store(address)
    made = proto.Artifact(type_id=store.get_artifact_type("Said").id, name=text, uri=f"s3://bucket/{text}")
    made.properties["text"].string_value = text
    made.custom_properties["own"].string_value = text
    made.custom_properties["within"].struct_value.update({"list": [text, {"deep": text}]})
    before = made.SerializeToString()
    store.put_artifacts([made])
    assert made.SerializeToString() == before
    found = open_store(address).get_artifact_by_type_and_name("Said", text)
    assert (found.name, found.uri) == (text, f"s3://bucket/{text}")
    assert found.properties["text"].string_value == found.custom_properties["own"].string_value == text
    assert found.custom_properties["within"].struct_value["list"][1]["deep"] == text


def test_making_tables_again_changes_nothing(postgres: Postgres, uri: str) -> None:
    address = MetadataAddress.parse(uri)
    make_tables(address)
    store = open_store(address)
    kind = store.put_artifact_type(proto.ArtifactType(name="Kept"))
    make_tables(address)
    make_tables(address)
    assert store.get_artifact_type("Kept").id == kind
    # A newer version of the code knows one property more, and an older one less.
    register_types(address, Types([proto.ArtifactType(name="Kept", properties={"more": proto.STRING})], [], []))
    register_types(address, Types([proto.ArtifactType(name="Kept")], [], []))
    found = store.get_artifact_type("Kept")
    assert (found.id, set(found.properties)) == (kind, {"more"})


def test_a_type_is_not_doubled_past_the_lock(postgres: Postgres, uri: str) -> None:
    make_tables(MetadataAddress.parse(uri))
    insert = "INSERT INTO type (name, type_kind) VALUES ('Twice', 1)"
    postgres.query(uri, insert)
    with pytest.raises(Exception, match="boxwright_one_type"):
        postgres.query(uri, insert)


def test_types_that_are_doubled_already_are_named(postgres: Postgres, uri: str) -> None:
    address = MetadataAddress.parse(uri)
    make_tables(address)
    postgres.query(uri, "DROP INDEX boxwright_one_type")
    for _ in range(2):
        postgres.query(uri, "INSERT INTO type (name, type_kind) VALUES ('BoxwrightDataset', 1)")
    with pytest.raises(StorageError, match="artifact type BoxwrightDataset more than once"):
        make_tables(address)


def test_a_question_is_asked_anew_when_the_server_was_restarted(postgres: Postgres, uri: str) -> None:
    address = MetadataAddress.parse(uri)
    require_tables(address)
    tried: list[Any] = []

    def restarted_meanwhile(store: Any) -> list[str]:
        tried.append(store)
        if len(tried) == 1:
            postgres.stop()
            postgres.start()
        return [one.name for one in store.get_artifact_types()]

    assert ask(address, restarted_meanwhile) == []
    assert len(tried) == 2
    with pytest.raises(errors.InternalError):
        tried[0].get_artifact_types()


def change(uri: str, **parts: str) -> str:
    user, _, rest = uri.removeprefix("postgresql://").partition(":")
    password, _, place = rest.rpartition("@")
    host, _, name = place.partition("/")
    found = {"user": user, "password": password, "host": host, "name": name} | parts
    return f"postgresql://{found['user']}:{found['password']}@{found['host']}/{found['name']}"


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        ({"password": "nonsense"}, UsageError, "does not let this log-in in.*password authentication failed"),
        ({"user": "nobody"}, UsageError, "does not let this log-in in"),
        ({"host": "127.0.0.1:9"}, StorageError, "does not answer.*start it or mend the way"),
        ({"name": "x?sslmode=require"}, UsageError, "TLS options of BOXWRIGHT_METADATA_URI do not fit"),
        ({"name": "x?passfile=/nowhere"}, UsageError, "passfile=/nowhere is not a file that this user can read"),
    ],
    ids=lambda value: str(value),
)
def test_why_a_server_cannot_be_used_is_told_without_the_password(
    uri: str, wrong: dict[str, str], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        make_tables(MetadataAddress.parse(change(uri, **wrong)))
    assert PASSWORD not in str(caught.value) and "nonsense" not in str(caught.value)


def test_a_password_may_come_from_a_file_of_its_own(uri: str, tmp_path: Path) -> None:
    file = tmp_path / "pass"
    escaped = PASSWORD.replace(":", r"\:")
    file.write_text(f"*:*:*:*:{escaped}\n")
    without = uri.replace(uri[uri.index(":", 13) : uri.index("@")], "")
    address = MetadataAddress.parse(f"{without}?passfile={file}")
    assert "password" not in address.server
    file.chmod(0o644)
    with pytest.raises(UsageError, match="open to others.*chmod 600"):
        make_tables(address)
    file.chmod(0o600)
    make_tables(address)
    assert open_store(address).get_artifact_types() is not None


def test_not_even_at_its_most_talkative_a_library_logs_the_password(
    uri: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    # Other tests may have quietened it.
    caplog.set_level(logging.DEBUG, "absl")
    monkeypatch.setattr(logging.getLogger("absl"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("absl"), "filters", [])
    make_tables(MetadataAddress.parse(uri))
    assert "DB connection initialized" in caplog.text and PASSWORD not in caplog.text


def test_a_log_in_that_may_make_nothing_is_told_what_an_administrator_says(postgres: Postgres, uri: str) -> None:
    address = MetadataAddress.parse(uri)
    make_tables(address)
    postgres.query(uri, "DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD 'reader'")
    reader = change(uri, user="reader", password="reader")
    with pytest.raises(UsageError, match='reader may not make one.*CREATE DATABASE "fresh" OWNER "reader"'):
        make_tables(MetadataAddress.parse(change(reader, name="fresh")))
    postgres.query(uri, "CREATE DATABASE empty_one")
    with pytest.raises(UsageError, match='may not make tables in the schema public.*TO "reader"'):
        make_tables(MetadataAddress.parse(change(reader, name="empty_one")))


def test_it_is_made_by_whoever_comes_first(uri: str) -> None:
    address = MetadataAddress.parse(uri)
    with pytest.raises(UsageError, match="there is no database.*`boxwright db init` makes it"):
        new_store(address)
    require_tables(address)
    assert new_store(address).get_artifact_types() == new_store(address).get_artifact_types()
