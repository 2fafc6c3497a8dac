"""One way from a reference to a folder: registered versions, archives, and folders as they are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from boxwright.config.parsing import parse_config
from boxwright.config.run_info import RunInfo
from boxwright.errors import DataError, NotAllowedError, UsageError
from boxwright.packaging.archive import pack
from boxwright.registry.champion import open_champion
from boxwright.registry.open_model import ModelSource, open_model, resolve_model
from boxwright.registry.opening import open_registry
from boxwright.registry.port import Registry


@pytest.fixture
def registry(store: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    uri = f"sqlite:///{store}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return open_registry(uri)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "content"
    made.mkdir()
    (made / "model.json").write_text("{}")
    (made / "model.weights.h5").write_bytes(b"weights")
    return made


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> str:
    pack(folder, tmp_path / "model.tar.gz")
    return str(tmp_path / "model.tar.gz")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_version_an_alias_an_archive_and_a_folder_are_opened_alike(
    registry: Registry, release: Callable[..., Any], folder: Path, archive: str
) -> None:
    registry.register(release("run-1", archive_uri=archive))
    for reference in ("models:/detector/1", "models:/detector@champion", archive, str(folder)):
        with open_model(reference) as opened:
            assert names(opened) == ["model.json", "model.weights.h5"]
        assert opened.exists() == (reference == str(folder)), "what was unpacked is gone, what was there stays"
    source = resolve_model("models:/detector@champion")
    assert source == ModelSource("models:/detector/1", archive, "detector", 1)
    assert resolve_model(archive) == ModelSource(archive, archive, "model.tar.gz", None)
    with open_model(source) as opened:
        assert names(opened) == ["model.json", "model.weights.h5"]


def test_where_the_registry_says_that_an_archive_lies_is_held_against_the_list(
    registry: Registry, release: Callable[..., Any], archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "model.tar.gz").symlink_to(archive)
    registry.register(release("run-1", archive_uri=archive))
    registry.register(release("run-2", archive_uri=f"{allowed}/model.tar.gz"))
    monkeypatch.setenv("BOXWRIGHT_ALLOWED_URIS", str(allowed))
    for version in (1, 2):
        with pytest.raises(NotAllowedError, match="BOXWRIGHT_ALLOWED_URIS"), open_model(f"models:/detector/{version}"):
            pytest.fail("it was opened")
    monkeypatch.setenv("BOXWRIGHT_ALLOWED_URIS", str(tmp_path))
    with open_model("models:/detector/1") as opened:
        assert names(opened) == ["model.json", "model.weights.h5"]


def test_an_archive_is_unpacked_where_it_is_asked_for(archive: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with open_model(archive, below=place) as opened:
        assert opened.is_relative_to(place)
    assert names(place) == []


def test_what_cannot_be_opened_is_told(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "broken.tar.gz").write_bytes(b"no archive")
    for reference, kind, said in (
        ("models:/detector/1", UsageError, "no model detector has a version"),
        ("/nowhere/model.tar.gz", DataError, "/nowhere/model.tar.gz"),
        (str(tmp_path / "broken.tar.gz"), DataError, f"^{tmp_path}/broken.tar.gz is not a complete"),
    ):
        with pytest.raises(kind, match=said), open_model(reference):
            pytest.fail("it was opened")


def test_the_champion_of_a_run_is_opened_or_its_problem_told(
    registry: Registry, release: Callable[..., Any], archive: str
) -> None:
    config = parse_config({"training": "/t", "output": "/o"})

    def run(year: int) -> RunInfo:
        return RunInfo(run_id="this", as_of=datetime(year, 1, 1, tzinfo=UTC))

    registry.register(release("run-1", "2025-03-01", archive_uri=archive))
    registry.register(release("run-2", "2026-03-01", archive_uri="/nowhere/model.tar.gz"))
    with open_champion(config, run(2025)) as champion:
        assert champion is None
    with open_champion(config, run(2026)) as champion:
        assert champion and (champion.reference, champion.problem) == ("models:/detector/1", None)
        assert champion.folder and names(champion.folder) == ["model.json", "model.weights.h5"]
    with open_champion(config, run(2027)) as champion:
        assert champion and (champion.reference, champion.folder) == ("models:/detector/2", None)
        assert "/nowhere/model.tar.gz" in str(champion.problem)
