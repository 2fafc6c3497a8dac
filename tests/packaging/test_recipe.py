"""What makes another model makes another recipe, and nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from boxwright.config import RunConfig, parse_config
from boxwright.model import hyperparameters_of
from boxwright.packaging import recipe
from boxwright.packaging.recipe import MODEL_SETTINGS, recipe_of

# Why each of the other settings is no part of a recipe. A new setting stands here, or in `MODEL_SETTINGS`.
LEFT_OUT = {
    "training": "the fingerprint is of its content",
    "validation": "the fingerprint is of its content",
    "test": "the fingerprint is of its content",
    "annotations_file": "the fingerprint is of its content",
    "data_validation": "the fingerprint is of what the rules left, and of how boxes were read",
    "seed_mode": "the parent says what it led to",
    "parent": "the recipe has the one that was found",
    "weights_uri": "where weights lie; the recipe has the identity of those found there",
    "output": "where results go",
    "model_name": "how it is called",
    "force": "whether a recipe is looked for",
    "approve": "who may register it",
    "approve_within_hours": "who may register it",
    "training_machines": "where it is trained: a batch is the same on all of them together",
    "evaluation": "what is measured and shown",
    "export": "what is written beside the weights",
    "gate": "judges the model, and anew where it is reused",
    "storage": "how S3 is reached",
}
REQUIRED = {"training": "/data", "output": "/output", "model_id": "tiny"}


def recipe_with(fingerprint: str = "f", parent: str | None = None, weights: str | None = "w", **changes: Any) -> str:
    return recipe_of(parse_config(REQUIRED | changes), fingerprint, parent, weights)


def test_every_setting_is_decided_on() -> None:
    assert set(LEFT_OUT) | set(MODEL_SETTINGS) == set(RunConfig.model_fields)
    assert not set(LEFT_OUT) & set(MODEL_SETTINGS)


@pytest.mark.parametrize(
    "changes",
    [
        {"training": "/elsewhere", "validation": "/v", "test": "/t", "annotations_file": "other.json"},
        {"output": "/elsewhere", "model_name": "another", "weights_uri": "/weights"},
        {"seed_mode": "pretrained"},
        {"force": True, "approve": True, "approve_within_hours": 1},
        {"training_machines": 4},
        {"evaluation": {"gallery_images": 3, "voc": True}},
        {"gate": {"min_ap50": 0.9, "must_beat_champion": 0.1, "classes_told_apart": False, "on_failure": "reject"}},
        {"data_validation": {"on_invalid": "drop", "max_imbalance": 3, "severities": {"box_too_small": "error"}}},
        {"export": {"formats": ["onnx"], "on_loss": "fail"}},
        {"storage": {"region": "eu-west-1"}},
    ],
    ids=str,
)
def test_what_leaves_the_model_as_it_is_leaves_the_recipe(changes: dict[str, Any]) -> None:
    assert set(changes) <= set(LEFT_OUT)
    assert recipe_with(**changes) == recipe_with()


@pytest.mark.parametrize(
    "changes",
    [
        {"model_id": "retinanet-efficientnet-lite0-320"},
        {"on_class_change": "extend"},
        {"hyperparameters": {"epochs": 77}},
        {"hyperparameters": {"seed": 1}},
        {"fingerprint": "g"},
        {"parent": "models:/detector/1"},
        {"weights": "better ones"},
        {"weights": None},
    ],
    ids=str,
)
def test_what_changes_the_model_changes_the_recipe(changes: dict[str, Any]) -> None:
    assert recipe_with(**changes) != recipe_with()


def test_a_default_that_is_written_out_is_the_same() -> None:
    chosen = hyperparameters_of(parse_config(REQUIRED))
    assert recipe_with(hyperparameters={"epochs": chosen.epochs}) == recipe_with()


def test_other_code_is_another_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe_with()
    monkeypatch.setattr(recipe, "code_digest", lambda: "of another commit")
    assert recipe_with() != before


def test_a_parent_that_was_written_again_is_another(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(b"one")
    before = recipe_with(parent=str(archive))
    assert recipe_with(parent=str(archive)) == before
    archive.write_bytes(b"another")
    assert recipe_with(parent=str(archive)) != before
