from __future__ import annotations

from pathlib import Path

import pytest

from boxwright.errors import DataError
from boxwright.training.history import best_record, epochs_without_improvement, read_history, write_history

LOSSES = [{"epoch": 0.0, "val_loss": 2.0}, {"epoch": 1.0, "val_loss": 1.0}, {"epoch": 2.0, "val_loss": 1.0}]
APS = [{"epoch": 0.0}, {"epoch": 1.0, "AP": 0.0}, {"epoch": 2.0, "AP": 0.4}, {"epoch": 3.0}, {"epoch": 4.0, "AP": 0.3}]


@pytest.mark.parametrize(("history", "metric", "epoch"), [(LOSSES, "val_loss", 1), (APS, "AP", 2), (APS[:2], "AP", 1)])
def test_the_best_epoch_is_the_first_of_the_lowest_loss_or_the_highest_ap(history, metric, epoch):
    assert best_record(history, metric)["epoch"] == epoch


def test_there_is_no_best_epoch_where_nothing_was_measured():
    assert best_record(LOSSES, "AP") is None


@pytest.mark.parametrize(
    ("history", "metric", "min_delta", "stale"),
    [(LOSSES, "val_loss", 0.0, 1), (LOSSES, "val_loss", 1.5, 2), (APS, "AP", 0.0, 1), (LOSSES, "AP", 0.0, 0)],
)
def test_epochs_without_a_measurement_count_neither_way(history, metric, min_delta, stale):
    assert epochs_without_improvement(history, metric, min_delta) == stale


def test_the_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []
    history = [{"epoch": 0.0, "loss": 1.5}, {"epoch": 1.0, "loss": 0.5, "AP": 0.25}]
    write_history(history, tmp_path)
    assert read_history(tmp_path) == history


@pytest.mark.parametrize("content", ["{}", "[3]", '[{"loss": "low"}]', "["])
def test_a_broken_history_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "history.json").write_text(content)
    with pytest.raises(DataError, match=r"history\.json is not the history of a training"):
        read_history(tmp_path)
