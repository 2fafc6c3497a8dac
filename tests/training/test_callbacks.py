from __future__ import annotations

import logging
import re

import pytest

from boxwright.errors import TrainingError
from boxwright.training.history import read_history

LOGS = {"loss": 942796.333, "val_loss": 1.5, "val_localization_loss": 241507.391, "val_classification_loss": 0.0}


@pytest.fixture
def make_log(tmp_path):
    from boxwright.training.callbacks import EpochLog

    def make(**settings):
        return EpochLog(images=10, epochs=3, folder=tmp_path, **settings)

    return make


def _one_epoch(callback, epoch, **logs):
    callback.on_epoch_begin(epoch)
    callback.on_train_batch_begin(0)
    callback.on_test_begin()
    callback.on_epoch_end(epoch, LOGS | logs)


def test_the_managed_algorithms_metric_definitions_read_the_log(make_log, caplog):
    caplog.set_level(logging.INFO, "boxwright.training")
    _one_epoch(make_log(epoch_seconds=lambda: 1e-6), 0)
    lines = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(r"\[Epoch 0\], Speed: \d+\.\d{3} samples/sec, loss=942796\.333\.", lines[0])
    assert lines[1] == "[Epoch 0], Val_localization=241507.391, Val_classification=0.000"
    assert re.search(r"loss=([0-9\.]+).", lines[0])[1] == "942796.333"
    assert re.search(r"Val_localization=([0-9\.]+)", lines[1])[1] == "241507.391"
    assert re.fullmatch(
        r"epoch 1 of 3 done, \d+\.\d % of the time waiting for input, about \d+ min \d\d s left", lines[2]
    )


def test_an_epoch_of_one_step_that_compiled_says_nothing_of_the_time_left(make_log, caplog):
    caplog.set_level(logging.INFO, "boxwright.training")
    log = make_log()
    _one_epoch(log, 0)
    assert caplog.messages[-1].endswith("of the time waiting for input")
    _one_epoch(log, 1)
    assert caplog.messages[-1].endswith(" left")


def test_the_history_is_kept_and_a_repeated_epoch_stands_in_it_once(make_log):
    first = make_log()
    _one_epoch(first, 0)
    _one_epoch(first, 1)
    resumed = make_log()
    _one_epoch(resumed, 1)
    _one_epoch(resumed, 2)
    assert [record["epoch"] for record in read_history(first.folder)] == [0, 1, 2]


def test_class_accuracy_is_looked_at_in_the_epochs_between(make_log, caplog):
    caplog.set_level(logging.INFO, "boxwright.training")
    names = {"class_accuracy": 0.5, "class_accuracy_by_lot": 0.25}
    measure = {"measure": lambda _: {"AP": 0.25, "AP50": 0.5} | names, "glance": lambda _: names}
    looked = make_log(**measure, measure_every=2)
    looked.set_model(None)
    for epoch in range(3):
        _one_epoch(looked, epoch)
    assert [sorted({"AP", *names} & record.keys()) for record in looked.history] == [
        sorted(names), sorted({"AP", *names}), sorted({"AP", *names})
    ]  # fmt: skip
    assert "epoch 1 of 3 done, 50% of the boxes that are placed right named rightly (25% by chance), " in caplog.text
    blind = make_log(**measure)
    blind.set_model(None)
    _one_epoch(blind, 0)
    assert not set(names) & blind.history[-1].keys()


def test_ap_is_measured_every_n_epochs_and_at_the_end_and_every_record_is_reported(make_log, caplog):
    caplog.set_level(logging.INFO, "boxwright.training")
    reported = []
    measured = make_log(measure=lambda _: {"AP": 0.25, "AP50": 0.5}, measure_every=2, report=reported.append)
    measured.set_model(None)
    for epoch in range(3):
        _one_epoch(measured, epoch)
    assert [record.get("AP") for record in reported] == [None, 0.25, 0.25]
    assert reported == measured.history
    assert "epoch 2 of 3 done, AP 0.250, AP50 0.500" in caplog.text


def test_building_the_training_step_is_no_waiting_for_input(make_log):
    import keras
    import tensorflow as tf

    from boxwright.training.input_clock import InputClock

    events = []

    class Traced(keras.layers.Dense):
        def call(self, inputs):
            events.append("traced")
            return super().call(inputs)

    class Watched(InputClock):
        def ask(self):
            events.append("asked")
            super().ask()

    model = keras.Sequential([Traced(1)])
    model.build((None, 1))
    model.compile("sgd", "mse")
    events.clear()
    clock = Watched()
    log = make_log(clock=clock)
    log.on_epoch_end = lambda epoch, logs: None
    batches = tf.data.Dataset.from_tensors((tf.ones((2, 1)), tf.ones((2, 1)))).repeat()
    model.fit(clock.timed(batches), epochs=2, steps_per_epoch=2, callbacks=[log], verbose=0)
    last_traced = len(events) - 1 - events[::-1].index("traced")
    assert events.index("asked") > last_traced
    assert events.count("asked") == 3, "each batch but the first is waited for"


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_training(loss):
    from boxwright.training.callbacks import LossGuard

    guard = LossGuard()
    guard.on_train_batch_end(4, {"loss": 1.0})
    with pytest.raises(TrainingError, match=r"step 5 .*lower learning_rate"):
        guard.on_train_batch_end(5, {"loss": loss})


def test_a_diverging_loss_stops_the_training_and_a_first_loss_of_nothing_does_not():
    from boxwright.training.callbacks import LossGuard

    guard = LossGuard()
    guard.on_train_batch_end(0, {"loss": 3.0})
    guard.on_train_batch_end(1, {"loss": 29.0})
    with pytest.raises(TrainingError, match=r"diverges: a mean loss of 31 at step 2 .* after 3 in the first step"):
        guard.on_train_batch_end(2, {"loss": 31.0})
    patient = LossGuard()
    patient.on_train_batch_end(0, {"loss": 0.001})
    patient.on_train_batch_end(1, {"loss": 2.0})


@pytest.mark.parametrize(
    ("metric", "values", "stops_after"),
    [("val_loss", [3.0, 2.0, 2.0, 2.5], 4), ("AP", [0.1, 0.3, 0.2, 0.3], 4), ("AP", [0.3, 0.2, 0.1], 3)],
)
def test_early_stopping_decides_from_the_history_and_so_does_a_resumed_one(make_log, metric, values, stops_after):
    from boxwright.training.callbacks import EarlyStopping

    class Model:
        stop_training = False

    for epoch, value in enumerate(values, start=1):
        progress = make_log()
        progress.forget_after(epoch - 1)
        stopping = EarlyStopping(progress, metric, patience=2, min_delta=0.0)
        stopping.set_model(Model())
        _one_epoch(progress, epoch - 1, **{metric: value, "AP50": 0.5})
        stopping.on_epoch_end(epoch - 1)
        assert stopping.model.stop_training == stopping.is_over() == (epoch >= stops_after)
