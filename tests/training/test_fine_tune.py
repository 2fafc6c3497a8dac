"""Fine-tuning on a very small model: what it keeps, and that a crash costs nothing but the epoch that it hit."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from prepared import prepare

from boxwright.config import parse_config
from boxwright.errors import StoppedError
from boxwright.training.fine_tuning import NO_WATCH, Watch, fine_tune
from boxwright.training.history import STARTUP

EPOCHS = 4


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    config = prepare(folder, 16, epochs=EPOCHS, image_size=64, batch_size=4)
    return config, folder


def _train(prepared, out_dir, checkpoints, watch=NO_WATCH, **hyperparameters):
    config, folder = prepared
    chosen = config.hyperparameters.model_dump(exclude_unset=True) | hyperparameters
    config = parse_config(config.model_dump(exclude_unset=True) | {"hyperparameters": chosen})
    out_dir.mkdir(exist_ok=True)
    return fine_tune(config, folder / "examples", folder / "seed", out_dir, checkpoints, watch)


def _weights(out_dir):
    from boxwright.model.store import load_detector

    return load_detector(out_dir)[0].get_weights()


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    reported = []
    return _train(prepared, folder / "out", folder / "checkpoints", Watch(report=reported.append)), folder, reported


def test_a_training_leaves_its_history(whole):
    summary, folder, reported = whole
    assert (summary.epochs, summary.final_epoch) == (EPOCHS, EPOCHS - 1)
    assert reported == summary.history
    assert all(0 <= record["waiting_share"] <= 1 for record in summary.history)
    assert all(np.isfinite(list(record.values())).all() for record in summary.history)
    assert json.loads((folder / "out" / "history.json").read_text()) == summary.history
    assert not (folder / "checkpoints").exists()


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def test_a_crash_resumes_at_the_last_whole_epoch_and_ends_with_the_same_weights(prepared, whole, tmp_path, monkeypatch):
    from boxwright.training import checkpoint

    def die_in_the_second_epoch(path, state):
        if state["epochs"] == 2:
            raise Killed
        original(path, state)

    original = checkpoint.write_json
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_json", die_in_the_second_epoch)
        with pytest.raises(Killed):
            _train(prepared, tmp_path / "out", tmp_path / "checkpoints")
    resumed = _train(prepared, tmp_path / "out", tmp_path / "checkpoints")
    assert [record["epoch"] for record in resumed.history] == list(range(EPOCHS))
    for ours, theirs in zip(_weights(tmp_path / "out"), _weights(whole[1] / "out"), strict=True):
        # Threads add up in another order each time.
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_only_a_pretrained_encoder_learns_at_its_own_rate(prepared, whole, tmp_path):
    from boxwright.model.seeds import Seed, write_seed
    from boxwright.model.store import load_detector

    def encoder(folder):
        return [variable.numpy() for variable in load_detector(folder)[0].encoder_variables()]

    rate = {"epochs": 1, "backbone_learning_rate_multiplier": 0.0}
    _train(prepared, tmp_path / "fresh", tmp_path / "checkpoints", **rate)
    shutil.copytree(whole[1] / "out", tmp_path / "parent" / "seed")
    write_seed(Seed(kind="incremental", model_id="speck", origin="models:/speck/1"), tmp_path / "parent" / "seed")
    (tmp_path / "parent" / "examples").symlink_to(prepared[1] / "examples")
    _train((prepared[0], tmp_path / "parent"), tmp_path / "tuned", tmp_path / "checkpoints", **rate)
    parent, tuned, fresh = (encoder(folder) for folder in (whole[1] / "out", tmp_path / "tuned", tmp_path / "fresh"))
    assert all((ours == theirs).all() for ours, theirs in zip(tuned, parent, strict=True))
    biases = [value for value in fresh if value.ndim == 1]
    assert any(value.any() and (value != 1).any() for value in biases), "random weights have to learn"
    heads = [(folder / "model.weights.h5").read_bytes() for folder in (whole[1] / "out", tmp_path / "tuned")]
    assert heads[0] != heads[1]


def test_a_training_that_gets_worse_stops_and_hands_on_its_best_epoch(prepared, tmp_path):
    """In half precision besides, whose variables stay whole."""
    seen = []

    def measure(detector):
        seen.append(detector.get_weights())
        return {"AP": 0.5 - 0.1 * len(seen), "AP50": 0.5}

    settings = {
        "early_stopping": True,
        "early_stopping_metric": "AP",
        "early_stopping_patience": 1,
        "validation_ap_epochs": 1,
        "mixed_precision": "True",
        "image_size": 96,
    }
    summary = _train(prepared, tmp_path / "out", tmp_path / "checkpoints", Watch(measure=measure), **settings)
    assert (summary.epochs, summary.final_epoch, len(seen)) == (2, 0, 2)
    kept = _weights(tmp_path / "out")
    for ours, first in zip(kept, seen[0], strict=True):
        np.testing.assert_array_equal(ours, first)
    assert any((ours != second).any() for ours, second in zip(kept, seen[1], strict=True))
    facts = json.loads((tmp_path / "out" / "training.json").read_text())
    assert facts["final_epoch"] == 0


def test_a_training_that_is_asked_to_stop_ends_after_its_epoch_and_goes_on(prepared, whole, tmp_path):
    asked = iter([False, True])
    stopping = Watch(should_stop=lambda: next(asked))
    with pytest.raises(StoppedError, match=f"after epoch 2 of {EPOCHS}, which is kept"):
        _train(prepared, tmp_path / "out", tmp_path / "checkpoints", stopping)
    resumed = _train(prepared, tmp_path / "out", tmp_path / "checkpoints", Watch(should_stop=lambda: False))
    assert [record["epoch"] for record in resumed.history] == list(range(EPOCHS))
    started = [record["epoch"] for record in resumed.history if STARTUP in record]
    assert started == [0, 2], "each process starts once"
    for ours, theirs in zip(_weights(tmp_path / "out"), _weights(whole[1] / "out"), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_where_a_training_stands_is_told_within_an_epoch(prepared, tmp_path, monkeypatch, caplog):
    from boxwright.training import step_log

    monkeypatch.setattr(step_log, "SECONDS_BETWEEN_LINES", 0.0)
    told = []
    _train(prepared, tmp_path / "out", tmp_path / "checkpoints", Watch(progress=told.append), epochs=2)
    parts = [(one.epoch, one.doing, one.step) for one in told]
    steps, validation = told[0].steps, told[-1].steps
    assert parts == [
        (epoch, doing, step + 1)
        for epoch in (1, 2)
        for doing, of in (("training", steps), ("validation", validation))
        for step in range(of)
    ]
    assert all(one.epochs == 2 and one.losses["loss"] > 0 and one.memory_mb > 100 for one in told)
    assert told[-1].seconds_left == 0
    assert "expect more of epochs=" in caplog.text, "what a few images in two epochs cannot give"


def test_a_model_keeps_how_it_looks_and_hands_it_on(prepared, tmp_path):
    from boxwright.evaluation.validation_ap import validation_ap
    from boxwright.images import Tiling
    from boxwright.model.seeds import Seed, write_seed
    from boxwright.model.store import load_detector

    settings = {"epochs": 1, "resize": "letterbox", "tile_size": 200, "tile_overlap": 0.1, "validation_ap_epochs": 1}
    look = validation_ap(prepared[1] / "examples")
    summary = _train(prepared, tmp_path / "out", tmp_path / "state", Watch(look, glance=look.glance), **settings)
    assert "AP" in summary.history[0] and not (tmp_path / "state").exists()
    shutil.copytree(tmp_path / "out", tmp_path / "parent" / "seed")
    write_seed(Seed(kind="incremental", model_id="speck", origin="models:/speck/1"), tmp_path / "parent" / "seed")
    (tmp_path / "parent" / "examples").symlink_to(prepared[1] / "examples")
    _train((prepared[0], tmp_path / "parent"), tmp_path / "child", tmp_path / "state", epochs=1)
    for folder in ("out", "child"):
        detector, card = load_detector(tmp_path / folder)
        assert (card.resize, card.tiling) == ("letterbox", Tiling(size=200, overlap=0.1))
        assert detector.resizing.keep_aspect and detector.tiling == card.tiling
