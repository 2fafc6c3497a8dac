"""The administrator's lists, tried with what looks like an entry and is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxwright.config import BatchInferenceConfig, Limit, nest_settings, parse_config
from boxwright.errors import NotAllowedError, UsageError
from boxwright.storage import download, exists, list_files, read_bytes, upload_file
from boxwright.storage.allowed import Allowed

BUCKETS = ("s3://boxwright", "s3://lake/team-a/sets")
ROLE = "arn:aws:iam::1:role/reader"


def run(**changes: object) -> object:
    return parse_config(nest_settings({"training": "s3://boxwright/a", "output": "s3://boxwright/b", **changes}))


def allowed(monkeypatch: pytest.MonkeyPatch, **lists: str) -> Allowed:
    for name, text in lists.items():
        monkeypatch.setenv(f"BOXWRIGHT_ALLOWED_{name}", text)
    return Allowed.from_environment()


@pytest.mark.parametrize(
    "uri",
    [
        "s3://boxwright",
        "s3://boxwright/",
        "S3://boxwright/sets/a",
        "s3://lake/team-a/sets",
        "s3://lake/team-a/sets/b/",
        "s3://boxwright/%2e%2e/other",
        "s3://boxwright/s%C3%A4tze",
    ],
)
def test_what_lies_below_an_entry_is_allowed(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    allowed(monkeypatch, URIS=" s3://boxwright , s3://lake/team-a/sets/ ").check(run(training=uri))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "uri",
    [
        "s3://boxwright-evil/a",
        "s3://boxwrigh",
        "s3://Boxwright/a",
        "s3://evil/boxwright",
        "s3://lake",
        "s3://lake/team-a",
        "s3://lake/team-a/sets-of-others",
        "s3://lake/team-a/SETS/x",
        "s3://lake/team-a%2fsets/x",
        "s3://lake/team-a/\u017fets",
        "s3://lake/team-a/sets\u200b/x",
        "/etc",
        "/",
        "file:///etc",
        "file://localhost/%65tc",
        "boxwright",
        "s3:/boxwright/a",
        " s3://boxwright/a",
        "~root/x",
        "/proc/self/environ",
    ],
)
@pytest.mark.parametrize("name", ["training", "test", "output", "parent", "weights_uri"])
def test_what_only_looks_like_it_is_refused(monkeypatch: pytest.MonkeyPatch, uri: str, name: str) -> None:
    lists = allowed(monkeypatch, URIS=",".join(BUCKETS))
    with pytest.raises(NotAllowedError, match=f"{name}=.*BOXWRIGHT_ALLOWED_URIS.*s3://boxwright, s3://lake"):
        lists.check(run(**{name: uri}))  # type: ignore[arg-type]


NO_URI = ["s3://boxwright/../lake/x", "s3://boxwri\u212aht/a", "s3://me:secret@evil/x", "~nobody-here/x", "/a\ud800"]


@pytest.mark.parametrize("uri", NO_URI)
def test_what_is_no_uri_is_refused_as_such(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        allowed(monkeypatch, URIS="s3://boxwright").check(run(training=uri))  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


def test_links_and_dots_of_a_local_path_are_followed_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "root-of-others"
    for folder in (root / "sets", outside / "sets"):
        folder.mkdir(parents=True)
    (root / "inner").symlink_to(root / "sets")
    (root / "outer").symlink_to(outside)
    (tmp_path / "entry").symlink_to(root)
    good = [root, root / "sets", root / "inner", tmp_path / "entry" / "new", root / "x" / ".." / "sets"]
    bad = [tmp_path, outside, root / "outer", root / "outer" / "sets", root / ".." / "root-of-others"]
    bad += [root / "inner" / ".." / ".."]
    for entry in (root, tmp_path / "entry"):
        lists = allowed(monkeypatch, URIS=str(entry))
        for place in good:
            lists.check(run(training=str(place), output=f"file://{place}"))  # type: ignore[arg-type]
        for place in bad:
            with pytest.raises(NotAllowedError):
                lists.check(run(training=str(place), output=str(root)))  # type: ignore[arg-type]


def test_a_link_within_a_dataset_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root, secrets = tmp_path / "root", tmp_path / "secrets"
    secrets.mkdir()
    root.mkdir()
    (secrets / "secrets.json").write_text('{"password": "x"}')
    (root / "annotations.json").symlink_to(secrets / "secrets.json")
    (root / "deep").symlink_to(secrets)
    (root / "own.json").write_text("{}")
    (root / "alias.json").symlink_to(root / "own.json")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    assert len(list_files(str(root))) == 3, "nobody has made a list"
    monkeypatch.setenv("BOXWRIGHT_ALLOWED_URIS", str(root))
    assert read_bytes(str(root / "alias.json"), 9) == b"{}"
    reads = [
        lambda: list_files(str(root)),
        lambda: read_bytes(str(root / "annotations.json"), 99),
        lambda: exists(str(root / "deep" / "secrets.json")),
        lambda: download(str(root), ["deep/secrets.json"], tmp_path / "got"),
        lambda: upload_file(root / "own.json", str(root / "deep" / "new.json")),
    ]
    for read in reads:
        with pytest.raises(NotAllowedError, match=r"leads out of BOXWRIGHT_ALLOWED_URIS"):
            read()
    assert not (secrets / "new.json").exists()


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "storage_endpoint_url",
            ["http://store:9000", "http://Store:9000/", "https://s3.example"],
            ["http://store:9001", "http://store", "https://store:9000", "http://store:9000.evil", "http://store:9000#x",
             "https://s3.example?x=", "http://evil\\store:9000"],
        ),
        ("storage_connection", ["lake"], ["Lake", "lake_of_others", "aws_default"]),
        ("storage_role_arn", [ROLE], [f"{ROLE}s", "arn:aws:iam::1:role/admin"]),
    ],
)  # fmt: skip
def test_servers_connections_and_roles_have_lists(
    monkeypatch: pytest.MonkeyPatch, name: str, good: list[str], bad: list[str]
) -> None:
    lists = allowed(monkeypatch, ENDPOINTS="http://store:9000, https://s3.example/", CONNECTIONS="lake", ROLES=ROLE)
    for value in good:
        lists.check(run(**{name: value}))  # type: ignore[arg-type]
    for value in bad:
        with pytest.raises(NotAllowedError, match=f"{name}=.*BOXWRIGHT_ALLOWED_"):
            lists.check(run(**{name: value}))  # type: ignore[arg-type]


def test_all_refusals_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = allowed(monkeypatch, URIS="", ENDPOINTS="", CONNECTIONS="a", ROLES="")
    with pytest.raises(NotAllowedError) as caught:
        lists.check(run(storage_endpoint_url="http://x", storage_connection="b", parent="models:/detector/3"))  # type: ignore[arg-type]
    told = str(caught.value)
    assert [name for name in ("training=", "output=", "storage_endpoint_url=", "storage_connection=") if name in told]
    assert "BOXWRIGHT_ALLOWED_URIS, which the administrator of the workers sets, is empty" in told
    assert "BOXWRIGHT_ALLOWED_CONNECTIONS, which the administrator of the workers sets, has a" in told
    assert "parent" not in told, "the registry is asked for it"


def test_a_list_that_is_not_set_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    config = run(training="/etc", storage_connection="any")
    Allowed.from_environment().check(config)  # type: ignore[arg-type]
    closed = Allowed.from_environment({limit: () for limit in Limit})
    with pytest.raises(NotAllowedError):
        closed.check(config)  # type: ignore[arg-type]
    open_again = {"URIS": "*", "CONNECTIONS": " * "}
    for name, text in open_again.items():
        monkeypatch.setenv(f"BOXWRIGHT_ALLOWED_{name}", text)
    again = Allowed.from_environment({limit: () for limit in Limit})
    again.check(config)  # type: ignore[arg-type]
    assert again.environment()["BOXWRIGHT_ALLOWED_URIS"] == "*"


def test_batch_inference_is_held_against_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = allowed(monkeypatch, URIS="s3://boxwright")
    good = {"images": "s3://boxwright/i", "output": "s3://boxwright/o"}
    lists.check(BatchInferenceConfig(**good))  # type: ignore[arg-type]
    for name, value in {"images": "/root", "output": "/root", "model": "/etc/model.tar.gz"}.items():
        with pytest.raises(NotAllowedError, match=f"{name}={value}"):
            lists.check(BatchInferenceConfig(**good | {name: value}))  # type: ignore[arg-type]


def test_an_entry_that_is_no_uri_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="BOXWRIGHT_ALLOWED_URIS has 'gs://x'"):
        allowed(monkeypatch, URIS="s3://abc,gs://x").check(run())  # type: ignore[arg-type]
