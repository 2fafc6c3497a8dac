"""`run.json`: made from what earlier steps left, and read from files of older versions and from broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from boxwright.config import parse_config
from boxwright.dataset.examples.summary import ExamplesSummary, SplitCounts
from boxwright.dataset.validation import Dropped
from boxwright.errors import DataError
from boxwright.evaluation.records import CocoMetrics, EvaluationSummary
from boxwright.model.seeds import Seed, write_seed
from boxwright.packaging.package import RunParts, run_facts
from boxwright.packaging.run_facts import RunFacts

# As 0.1.0 wrote it, before there was a record.
OLDER = Path(__file__).parent / "older"


def test_the_file_of_an_older_version_is_read_whole_and_written_with_what_came_since(tmp_path: Path) -> None:
    facts = RunFacts.read(OLDER)
    assert (facts.run_id, facts.parent, facts.images["training"]) == ("run-1", "models:/detector/1", 12)
    assert facts.seed.kind == "incremental" and facts.per_class["red"].boxes == 9
    facts.write(tmp_path)
    written, older = (json.loads((folder / "run.json").read_text()) for folder in (tmp_path, OLDER))
    assert written["seed"].pop("weights") is None
    assert written == older


def test_the_first_version_had_less() -> None:
    content = json.loads((OLDER / "run.json").read_text())
    for name in ("category_ids", "dropped", "recipe"):
        del content[name]
    facts = RunFacts.parse(json.dumps(content).encode(), "run.json")
    assert (facts.category_ids, facts.dropped, facts.recipe) == ((), (), "")
    assert facts.classes == ("bolt", "nut", "washer")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"classes": "bolt"}, "'classes' is 'bolt'"),
        ({"seed": {"kind": "stolen", "model_id": "tiny", "origin": "x"}}, "'seed.kind' is 'stolen'"),
        ({"metrics": {"AP": float("nan")}}, "'metrics.AP' is not a finite number"),
        ({"images": {"training": "many"}}, "'images.training' is 'many'"),
    ],
)
def test_a_broken_file_is_told_by_file_and_field(change: dict[str, Any], field: str) -> None:
    content = json.loads((OLDER / "run.json").read_text()) | change
    with pytest.raises(DataError, match=f"s3://b/run.json is not a run.json of Boxwright: {field}"):
        RunFacts.parse(json.dumps(content).encode(), "s3://b/run.json")


def test_it_says_what_earlier_steps_left(tmp_path: Path) -> None:
    parts = RunParts(*(tmp_path / name for name in ("examples", "seed", "detector", "evaluation", "label_map")))
    for folder in (parts.examples, parts.seed, parts.evaluation):
        folder.mkdir()
    dropped = Dropped("training", "images", 3, "a.jpg", "image_unreadable")
    ExamplesSummary(
        fingerprint="f" * 64,
        classes=("cat",),
        category_ids=(7,),
        splits={"training": SplitCounts(images=5, boxes=6, shards=1)},
        dropped=(dropped,),
    ).write(parts.examples)
    write_seed(Seed(kind="pretrained", model_id="tiny", origin="random"), parts.seed)
    measured = EvaluationSummary(
        split="validation", metrics={"AP": 0.5}, per_class={"cat": CocoMetrics(AP=0.5, AP50=0.75, boxes=2)}
    )
    measured.write(parts.evaluation)
    config = parse_config({"training": "s3://data", "output": "s3://runs", "model_id": "tiny", "force": True})
    facts = run_facts(config, "run-7", parts)
    assert (facts.run_id, facts.images, facts.parent, facts.dropped) == ("run-7", {"training": 5}, None, (dropped,))
    assert (facts.split, facts.metrics, facts.per_class) == ("validation", {"AP": 0.5}, measured.per_class)
    assert facts.config["force"] is True and facts.hyperparameters["epochs"] > 0 and facts.recipe
    facts.write(tmp_path)
    assert RunFacts.read(tmp_path) == facts
    assert json.loads((tmp_path / "run.json").read_text())["dropped"][0]["file"] == "a.jpg"
