"""What an artifact's address means on a machine, and that it is no machine's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from postgres_server import Postgres

from boxwright.config import Settings
from boxwright.config.metadata_address import MetadataAddress
from boxwright.pipeline.addresses import local_folder, pipeline_root, place_of, register_filesystem, shared_place

ADDRESS = "boxwright://pipeline/fine_tune/detector/7"


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "own", shared_root="s3://bucket/root/")


def test_it_leads_into_any_home_and_below_the_shared_root(own: Settings, tmp_path: Path) -> None:
    folder = own.home / "pipeline" / "fine_tune" / "detector" / "7"
    shared = "s3://bucket/root/fine_tune/detector/7"
    # That of a version before, which was this machine's, and what people were shown, mean the same.
    for one in (ADDRESS, str(folder), shared):
        assert (local_folder(one, own), shared_place(one, own), place_of(one, own)) == (folder, shared, shared)
    alone = Settings(home=tmp_path / "alone")
    assert place_of(ADDRESS, alone) == str(alone.home / "pipeline" / "fine_tune" / "detector" / "7")
    # Of another machine, of a version before: all that can be said is where it was.
    assert place_of("/elsewhere/pipeline/x", own) == "/elsewhere/pipeline/x"
    with pytest.raises(ValueError, match="has no place below"):
        shared_place("/elsewhere/pipeline/x", own)


def test_stores_that_count_alike_have_folders_of_their_own(postgres: Postgres, tmp_path: Path) -> None:
    addresses = [MetadataAddress.parse(postgres.new_database()) for _ in range(2)]
    roots = [pipeline_root(Settings(home=tmp_path, metadata_address=address)) for address in addresses]
    assert pipeline_root(Settings(home=tmp_path)) == "boxwright://pipeline"
    assert len({*roots, "boxwright://pipeline"}) == 3
    assert pipeline_root(Settings(home=tmp_path / "other", metadata_address=addresses[0])) == roots[0]


def test_tfx_makes_and_removes_folders_by_it() -> None:
    from tfx.dsl.io import fileio

    register_filesystem()
    register_filesystem()
    folder = Settings.from_environment().pipeline_root / "node" / "out" / "1"
    uri = "boxwright://pipeline/node/out/1"
    fileio.makedirs(uri)
    assert folder.is_dir() and fileio.isdir(uri) and fileio.exists(uri)
    with fileio.open(f"{uri}/a", "w") as file:
        file.write("x")
    assert fileio.listdir(uri) == ["a"] and (folder / "a").read_text() == "x"
    fileio.rmtree(uri)
    assert not folder.exists() and not fileio.exists(uri)
    assert not Path("boxwright:").exists()


def test_a_trainings_state_lies_at_the_shared_root_unless_it_has_a_place(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BOXWRIGHT_CHECKPOINT_URI", raising=False)
    assert own.checkpoints("run")[1] == "s3://bucket/root/checkpoints/run"
    assert Settings(home=own.home).checkpoints("run")[1] is None
    monkeypatch.setenv("BOXWRIGHT_CHECKPOINT_URI", "s3://states/")
    assert own.checkpoints("run")[1] == "s3://states/run"
