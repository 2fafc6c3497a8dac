"""Which earlier model a run starts from, and which archives are let in."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from boxwright.config import RunConfig, parse_config
from boxwright.config.run_info import RunInfo
from boxwright.errors import DataError, UsageError
from boxwright.model.seeds import read_seed
from boxwright.packaging.archive import pack
from boxwright.registry.parents import find_start, resolve_parent
from boxwright.registry.port import Registry, Release

MakeRelease = Callable[..., Release]
FIRST = datetime(2026, 1, 5, tzinfo=UTC)


def config(**changes: Any) -> RunConfig:
    return parse_config({"training": "/t", "output": "/o", "model_id": "tiny"} | changes)


def week(number: int) -> RunInfo:
    start = FIRST + timedelta(weeks=number)
    return RunInfo(run_id=f"week-{number}", interval_start=start, as_of=start + timedelta(weeks=1))


@pytest.fixture
def models(
    registry: Registry, tracking_uri: str, release: MakeRelease, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Registers what runs have made."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)

    def make(*runs: RunInfo, **changes: Any) -> None:
        for run in runs:
            registry.register(release(run.run_id, **changes).model_copy(update={"as_of": run.as_of}))

    return make


def test_each_week_starts_from_the_week_before(models: Callable[..., None]) -> None:
    today = RunInfo(run_id="today", as_of=datetime(2026, 11, 1, tzinfo=UTC))
    models(today, week(3), week(1), week(0), week(2))
    parents = [find_start(config(), week(number)).parent for number in range(5)]
    assert parents == [None, *(f"models:/detector/{version}" for version in (4, 3, 5, 2))]
    assert find_start(config(), week(1)).reason == "newest accepted version as of 2026-01-12T00:00:00+00:00"
    assert find_start(config(), today).parent == "models:/detector/2", "not itself"
    later = RunInfo(run_id="later", as_of=datetime(2026, 11, 2, tzinfo=UTC))
    assert find_start(config(), later).parent == "models:/detector/1"


def test_a_rejected_week_is_nobodys_parent(models: Callable[..., None]) -> None:
    models(week(0))
    models(week(1), accepted=False)
    assert find_start(config(), week(2)).parent == "models:/detector/1"


def test_the_seed_mode_decides(models: Callable[..., None]) -> None:
    models(week(0))
    assert find_start(config(seed_mode="pretrained"), week(1)).kind == "pretrained"
    assert find_start(config(seed_mode="incremental"), week(1)).kind == "incremental"
    start = find_start(config(), week(0))
    assert (start.kind, start.reason) == (
        "pretrained",
        "seed_mode=auto, and detector has no accepted version as of 2026-01-05T00:00:00+00:00",
    )
    with pytest.raises(UsageError, match="seed_mode=incremental needs an earlier model, and detector has no accepted"):
        find_start(config(seed_mode="incremental"), week(0))
    named = find_start(config(parent="models:/detector@champion"), week(0))
    assert (named.parent, named.reason) == ("models:/detector/1", "named by the run as models:/detector@champion")
    with pytest.raises(UsageError, match="models:/detector/9 does not exist; detector has 1"):
        find_start(config(parent="models:/detector/9"), week(0))


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., str]:
    """Packs a model of a card, with weights that nobody reads here."""

    def make(**changes: Any) -> str:
        card = {"model_id": "tiny", "image_size": 64, "classes": ["a", "b"], "category_ids": [1, 2]} | changes
        content = tmp_path / "content"
        content.mkdir(exist_ok=True)
        (content / "model.json").write_text(json.dumps(card))
        (content / "model.weights.h5").write_bytes(b"weights")
        pack(content, tmp_path / "model.tar.gz")
        return str(tmp_path / "model.tar.gz")

    return make


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "seed").mkdir()
    return tmp_path / "seed"


def test_an_archive_of_an_earlier_run_is_a_seed(archive: Callable[..., str], out: Path) -> None:
    uri = archive()
    seed = resolve_parent(config(parent=uri), week(0), ("a", "b"), out)
    assert seed == read_seed(out)
    assert (seed.kind, seed.origin, seed.reason) == ("incremental", uri, "named by the run")
    assert sorted(path.name for path in out.iterdir()) == ["model.json", "model.weights.h5", "seed.json"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_id": "retinanet-efficientnet-lite0-320"}, "is a 'retinanet-.*, this run trains a tiny, .* do not fit"),
        ({"model_id": "of-another-project"}, "'of-another-project', .* not a model of this version"),
        ({"classes": ["b", "a"]}, "the same names in another order"),
        ({"classes": ["a", "x"]}, r"missing \['x'\], new \['b'\]"),
        ({"classes": 7}, "expected a Boxwright model"),
        ({"run": "me"}, "expected a Boxwright model"),
    ],
    ids=str,
)
def test_a_model_that_does_not_fit_is_refused(
    changes: dict[str, Any], said: str, archive: Callable[..., str], out: Path
) -> None:
    with pytest.raises(DataError, match=said):
        resolve_parent(config(parent=archive(**changes)), week(0), ("a", "b"), out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("name", ["../escape.txt", "/etc/escape.txt", "saved_model/../../escape.txt", "evil.py"])
def test_what_is_not_of_the_layout_is_refused(name: str, out: Path, tmp_path: Path) -> None:
    path = tmp_path / "theirs.tar.gz"
    with tarfile.open(path, "w:gz") as theirs:
        entry = tarfile.TarInfo(name)
        entry.size = 4
        theirs.addfile(entry, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match=r"theirs.tar.gz has|model.tar.gz has"):
        resolve_parent(config(parent=str(path)), week(0), ("a", "b"), out)
    assert list(out.iterdir()) == [] and not list(tmp_path.rglob("escape.txt"))


def test_an_archive_that_is_not_there_is_named(out: Path) -> None:
    with pytest.raises(DataError, match=r"/nowhere/model\.tar\.gz"):
        resolve_parent(config(parent="/nowhere/model.tar.gz"), week(0), ("a", "b"), out)


def test_classes_may_change_where_the_run_says_so(archive: Callable[..., str], out: Path) -> None:
    extended = config(parent=archive(), on_class_change="extend")
    assert resolve_parent(extended, week(0), ("b", "new"), out).kind == "incremental"
