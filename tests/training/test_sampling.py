"""Images with rare classes come more often, by as much as LVIS has it, and every image comes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from boxwright.dataset.examples import encode_example, write_record
from boxwright.training.sampling import ClassShare, repeat_rare

NAMES = ("common", "rare", "never")


def shard(path: Path, labels: list[list[int]]) -> Path:
    """Examples with these labels, from 1."""
    with path.open("wb") as file:
        for found in labels:
            write_record(file, encode_example({"image/object/class/label": ("int64_list", found)}))
    return path


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """400 examples, 4 of which have the rare class, and 10 have nothing."""
    labels = [[1, 1]] * 386 + [[1, 2]] * 4 + [[]] * 10
    return [shard(tmp_path / f"{part}", labels[part::2]) for part in (0, 1)]


def test_repeats_are_those_of_lvis(shards: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "boxwright.training"):
        found = repeat_rare(shards, NAMES, 0.09, seed=1)
    # The root of 0.09 / 0.01 is 3.
    assert sorted(found.counts) == [1] * 396 + [3] * 4
    assert [place for place, count in enumerate(found.counts) if count == 3] == [193, 194, 393, 394]
    assert found.classes == {"common": ClassShare(images=390, shown=398), "rare": ClassShare(images=4, shown=12)}
    assert caplog.messages == [
        "repeat_threshold=0.09 shows rare classes more often; examples that have them: rare 4 of 400 (12 of 408 with "
        "repeats)"
    ]


def test_a_fraction_is_drawn_once_by_the_seed(tmp_path: Path) -> None:
    shards = [shard(tmp_path / "one", [[1]] * 1000 + [[2]] * 1000)]
    # The root of 0.98 / 0.5 is 1.4.
    first, again, other = (repeat_rare(shards, NAMES, 0.98, seed=seed).counts for seed in (1, 1, 2))
    assert first == again != other
    assert set(first) == {1, 2} and abs(sum(first) / 2000 - math.sqrt(0.98 / 0.5)) < 0.04


def test_where_no_class_is_rare_all_come_once(shards: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "boxwright.training"):
        assert set(repeat_rare(shards, NAMES, 0.01, seed=1).counts) == {1}
    assert "every class is in at least this share" in caplog.text
