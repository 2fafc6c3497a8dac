from __future__ import annotations

import json
import logging
import re

import pytest

from components.errors import TrainingError

LOGS = {"loss": 942796.333, "val_loss": 1.5, "val_localization_loss": 241507.391, "val_classification_loss": 0.0}


@pytest.fixture
def epoch_log(tmp_path):
    from components.training.callbacks import EpochLog

    return EpochLog(images=10, epochs=3, history_file=tmp_path / "history.json")


def _one_epoch(callback, epoch):
    callback.on_epoch_begin(epoch)
    callback.on_test_begin()
    callback.on_epoch_end(epoch, LOGS)


def test_the_managed_algorithms_metric_definitions_read_the_log(epoch_log, caplog):
    caplog.set_level(logging.INFO, "boxwright.training")
    _one_epoch(epoch_log, 0)
    lines = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(r"\[Epoch 0\], Speed: \d+\.\d{3} samples/sec, loss=942796\.333\.", lines[0])
    assert lines[1] == "[Epoch 0], Val_localization=241507.391, Val_classification=0.000"
    assert re.search(r"loss=([0-9\.]+).", lines[0])[1] == "942796.333"
    assert re.search(r"Val_localization=([0-9\.]+)", lines[1])[1] == "241507.391"


def test_the_history_is_kept_and_a_repeated_epoch_stands_in_it_once(epoch_log):
    from components.training.callbacks import EpochLog

    _one_epoch(epoch_log, 0)
    _one_epoch(epoch_log, 1)
    resumed = EpochLog(images=10, epochs=3, history_file=epoch_log.history_file)
    _one_epoch(resumed, 1)
    _one_epoch(resumed, 2)
    assert [record["epoch"] for record in json.loads(epoch_log.history_file.read_text())] == [0, 1, 2]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_training(epoch_log, loss):
    epoch_log.on_train_batch_end(4, {"loss": 1.0})
    with pytest.raises(TrainingError, match="learning_rate"):
        epoch_log.on_train_batch_end(5, {"loss": loss})
