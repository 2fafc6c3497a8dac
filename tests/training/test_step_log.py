"""The line about the steps of an epoch, and the pace that leaves out what only the start of a process takes."""

from __future__ import annotations

import logging
import re

import pytest

from boxwright.training.history import STARTUP, seconds_of_an_epoch
from boxwright.training.step_progress import gpu_usage


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_log(clock):
    from boxwright.training.step_log import StepLog

    return lambda report=None, **more: StepLog(40, 3, 10, 2, report, clock, **more)


def _steps(log, clock, seconds, first_step=0):
    for step, took in enumerate(seconds, start=first_step):
        clock.now += took
        log.on_train_batch_end(step, {"loss": 2.5, "classification_loss": 0.5})


def test_compilation_is_no_part_of_the_pace_nor_of_the_time_left(make_log, clock):
    said = []
    log = make_log(said.append)
    log.on_epoch_begin(0)
    _steps(log, clock, [60.0])
    assert log.epoch_seconds is None
    assert (said[0].step, said[0].seconds_left, said[0].images_per_second) == (1, None, None)
    _steps(log, clock, [2.0] * 9, first_step=1)
    assert log.epoch_seconds == pytest.approx(20.0)
    log.on_test_begin()
    clock.now += 50.0
    log.on_test_batch_end(0)
    clock.now += 3.0
    log.on_test_batch_end(1)
    assert log.epoch_seconds == pytest.approx(10 * 2.0 + 2 * 3.0)
    # Validation's own start, here 50 s, is a line as well.
    assert (said[-1].doing, said[-1].step, said[-1].steps) == ("validation", 1, 2)
    log.on_epoch_begin(1)
    _steps(log, clock, [2.0] * 9)
    clock.now += 30
    log.on_train_batch_end(9, {"loss": 1.0})
    assert said[-1].epoch == 2 and said[-1].losses == {"loss": 1.0}
    assert said[-1].seconds_left == pytest.approx(2 * 3.0 + log.epoch_seconds)


def test_a_line_comes_each_half_minute_and_can_be_parsed(make_log, clock, caplog):
    caplog.set_level(logging.INFO, "boxwright.training")
    log = make_log()
    log.on_epoch_begin(1)
    _steps(log, clock, [4.0] * 10)
    (line,) = [record.getMessage() for record in caplog.records]
    values = dict(re.split("[=:]", pair) for pair in line.split(" "))
    assert "loss=" not in line, "metric definitions look for the line that ends an epoch"
    assert values["epoch"] == "2/3" and values["training_step"] == "8/10"
    assert (values["loss"], values["classification_loss"]) == ("2.5", "0.5")
    assert (values["images_per_second"], values["seconds_left"]) == ("1.0", "48")
    assert float(values["cpu_percent"]) >= 0 and float(values["memory_mb"]) > 10
    assert "gpu_percent" not in values


def test_the_gpus_of_a_machine_are_in_the_line(make_log, clock, caplog, tmp_path, monkeypatch):
    """A program in the place of NVIDIA's answers as that does on a machine with two GPUs."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '90, 1000'\necho '70, 2500'\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    caplog.set_level(logging.INFO, "boxwright.training")
    log = make_log(gpu_usage=gpu_usage)
    log.on_epoch_begin(1)
    _steps(log, clock, [40.0])
    assert caplog.records[-1].getMessage().endswith(" gpu_percent=80 gpu_memory_mb=3500")
    # One that fails, as where the driver is of another version, ends no training.
    program.write_text("#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'\nexit 18\n")
    _steps(log, clock, [40.0])
    assert "gpu_percent" not in caplog.records[-1].getMessage()
    program.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_usage() is None


@pytest.mark.parametrize(
    ("records", "seconds"),
    [
        ([{"seconds": 80.0, STARTUP: 70.0}], 10.0),
        ([{"seconds": 80.0, STARTUP: 70.0}, {"seconds": 12.0}], 12.0),
        # Nothing is known after one step, and of histories without the time.
        ([{"seconds": 80.0, STARTUP: 80.0}], None),
        ([{"loss": 1.0}], None),
        ([], None),
        # Resumed after the second epoch.
        ([{"seconds": 90.0, STARTUP: 80.0}, {"seconds": 10.0}, {"seconds": 60.0, STARTUP: 48.0}], 10.0),
        ([{"seconds": 99.0}, {"seconds": 1.0}, {"seconds": 2.0}, {"seconds": 3.0}], 2.0),
    ],
)
def test_the_seconds_of_an_epoch(records, seconds):
    assert seconds_of_an_epoch(records) == seconds
