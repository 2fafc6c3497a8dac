"""A kill at any line of a checkpoint leaves the state of a whole epoch: weights, optimizer and count together."""

from __future__ import annotations

import numpy as np
import pytest


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture
def make_model():
    import keras

    def make():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.compile(optimizer="adam", loss="mse")
        return model

    return make


def _fit(model, checkpoint, epochs, first=0):
    x = np.arange(12.0).reshape(4, 3)
    model.fit(x, x[:, :2], epochs=epochs, initial_epoch=first, verbose=0, shuffle=False, callbacks=[checkpoint])


def test_there_is_nothing_to_restore_at_first(make_model, tmp_path):
    from boxwright.training.checkpoint import EpochCheckpoint

    assert EpochCheckpoint(tmp_path).restore(make_model()) == 0


def test_of_several_machines_one_writes(make_model, tmp_path):
    from boxwright.training.checkpoint import EpochCheckpoint

    _fit(make_model(), EpochCheckpoint(tmp_path, writes=False), 2)
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(make_model, tmp_path):
    from boxwright.training.checkpoint import EpochCheckpoint

    whole, half, resumed = make_model(), make_model(), make_model()
    for name in ("whole", "half"):
        (tmp_path / name).mkdir()
    _fit(whole, EpochCheckpoint(tmp_path / "whole"), 4)
    _fit(half, EpochCheckpoint(tmp_path / "half"), 2)
    checkpoint = EpochCheckpoint(tmp_path / "half")
    assert checkpoint.restore(resumed) == 2
    _fit(resumed, checkpoint, 4, first=2)
    # Equal only if Adam's moments and step count came back too.
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert len(list((tmp_path / "half").glob("*.weights.h5"))) == 1


def test_a_machine_that_is_behind_takes_what_another_one_did_meanwhile(make_model, tmp_path, s3):
    from boxwright.training.checkpoint import EpochCheckpoint, fetch_mirrored

    mirror = f"{s3.make_bucket('states-of-two')}/run"
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        # The epoch log has written it when a state is kept.
        (tmp_path / name / "history.json").write_text("[]")
    _fit(make_model(), EpochCheckpoint(tmp_path / "first", mirror=mirror), 2)
    fetch_mirrored(tmp_path / "second", mirror)
    second, resumed = EpochCheckpoint(tmp_path / "second", mirror=mirror), make_model()
    assert second.restore(resumed) == 2
    _fit(resumed, second, 5, first=2)
    # The first machine is back, with what it had; the second is asked for nothing that it has.
    for name in ("first", "second"):
        fetch_mirrored(tmp_path / name, mirror)
        assert EpochCheckpoint(tmp_path / name).restore(make_model()) == 5
    _fit(resumed, EpochCheckpoint(tmp_path / "second"), 6, first=5)
    fetch_mirrored(tmp_path / "second", mirror)
    assert EpochCheckpoint(tmp_path / "second").restore(make_model()) == 6
    assert not list(tmp_path.glob("*/fetched-*"))


def test_machines_that_join_find_what_the_first_one_had_not_shared_yet(make_model, tmp_path):
    from boxwright.training.checkpoint import EpochCheckpoint, fetch_mirrored, share_state

    mirror = str(tmp_path / "shared")
    share_state(tmp_path / "nothing", mirror)
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
    (tmp_path / "first" / "history.json").write_text("[]")
    _fit(make_model(), EpochCheckpoint(tmp_path / "first", mirror=mirror), 1)
    ahead = EpochCheckpoint(tmp_path / "first")
    ahead.restore(model := make_model())
    _fit(model, ahead, 3, first=1)
    share_state(tmp_path / "first", mirror)
    fetch_mirrored(tmp_path / "second", mirror)
    second = EpochCheckpoint(tmp_path / "second")
    assert second.restore(joined := make_model()) == 3
    for ours, theirs in zip(joined.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # What is there is not put back to what a machine has that was lost for a while.
    second.restore(joined)
    _fit(joined, EpochCheckpoint(tmp_path / "second", mirror=mirror), 4, first=3)
    share_state(tmp_path / "first", mirror)
    fetch_mirrored(tmp_path / "third", mirror)
    assert EpochCheckpoint(tmp_path / "third").restore(make_model()) == 4


@pytest.mark.parametrize("moment", ["in the weights", "before the state", "before the old weights go"])
def test_a_kill_in_a_checkpoint_leaves_a_whole_epoch(make_model, tmp_path, monkeypatch, moment):
    import keras

    from boxwright.training import checkpoint as module

    saved, written, unlinked = keras.Model.save_weights, module.write_json, type(tmp_path).unlink

    def save(model, path, **options):
        if moment == "in the weights" and (tmp_path / "state.json").exists():
            path.write_bytes(b"half a file")
            raise Killed
        saved(model, path, **options)

    def write(path, state):
        if moment == "before the state" and state["epochs"] == 2:
            raise Killed
        written(path, state)

    def unlink(path, **options):
        if moment == "before the old weights go" and path.name == "epoch-1.weights.h5":
            raise Killed
        unlinked(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save_weights", save)
        patch.setattr(module, "write_json", write)
        patch.setattr(type(tmp_path), "unlink", unlink)
        with pytest.raises(Killed):
            _fit(make_model(), module.EpochCheckpoint(tmp_path), 3)

    resumed = make_model()
    done = module.EpochCheckpoint(tmp_path).restore(resumed)
    assert done == (2 if moment == "before the old weights go" else 1)
    expected = make_model()
    (tmp_path / "expected").mkdir()
    _fit(expected, module.EpochCheckpoint(tmp_path / "expected"), done)
    for ours, theirs in zip(resumed.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
