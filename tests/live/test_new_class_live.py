"""A class that comes later, through the DAG: a parent, data that labels the new class alone, a gate on the old ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.dataset.sample.generate import generate_sample
from boxwright.registry.port import Version
from boxwright.stack.uploading import upload_dataset
from live.live_runs import trigger

if TYPE_CHECKING:
    from live.conftest import LiveStack

SETS, MODEL = "s3://boxwright/datasets/later", "later"
OLD, NEW = ["bolt", "nut"], "washer"
LEARNING = {
    "output": "s3://boxwright/runs",
    "model_name": MODEL,
    "model_id": "gfl-efficientnet-lite0-320",
    "image_size": 160,
    "epochs": 25,
    "validation_ap_epochs": 0,
    "gate_min_ap50": 0.05,
    "gate_classes_told_apart": False,
    "gate_max_class_loss": 0.1,
    "export_formats": ["saved_model"],
}


@pytest.fixture(scope="module")
def sets(ready: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sample three times in the bucket: labelled with the old classes, with the new one, and with all."""
    folder = tmp_path_factory.mktemp("later")
    generate_sample(folder / "all", images=120, seed=5)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ready.env.items():
            patch.setenv(name, value)
        for kind in ("old", "new", "all"):
            for split in ("training", "validation", "test"):
                upload_dataset(labelled(folder, kind, split), f"{SETS}/{kind}/{split}")
    return SETS


def labelled(folder: Path, kind: str, split: str) -> Path:
    """A split with labels of a kind; images that then have none stay."""
    source, target = folder / "all" / split, folder / kind / split
    if kind == "all":
        return source
    content = json.loads((source / "annotations.json").read_text())
    (new,) = [one["id"] for one in content["categories"] if one["name"] == NEW]
    content["annotations"] = [one for one in content["annotations"] if (one["category_id"] == new) == (kind == "new")]
    if kind == "old":
        content["categories"] = [one for one in content["categories"] if one["id"] != new]
    target.mkdir(parents=True)
    (target / "images").symlink_to(source / "images")
    (target / "annotations.json").write_text(json.dumps(content))
    return target


def classes_of(version: Version) -> list[str]:
    return list(json.loads(version.tags["boxwright.classes"]))


def gate_of(stack: LiveStack, run_id: str) -> dict[str, Any]:
    """The checks of a run's gate, by name."""
    body = stack.s3.get_object(Bucket="boxwright", Key=f"runs/{run_id}/output/gate.json")["Body"].read()
    return {check["name"]: check for check in json.loads(body)["checks"]}


@pytest.mark.long
def test_a_class_that_comes_later_costs_the_old_ones_little_or_the_gate_says_no(ready: LiveStack, sets: str) -> None:
    old = {split: f"{sets}/old/{split}" for split in ("training", "validation", "test")}
    trigger(ready, "later-parent", **LEARNING | old, seed_mode="pretrained")
    assert ready.finish("later-parent")[0] == "success"
    (parent,) = ready.registry.versions(MODEL)
    assert classes_of(parent) == OLD and parent.ap > 0.1

    data = {"training": f"{sets}/new/training", "validation": f"{sets}/new/validation", "test": f"{sets}/all/test"}
    going_on = LEARNING | data | {"seed_mode": "incremental", "parent": parent.reference}
    trigger(ready, "later-extended", **going_on, on_class_change="extend")
    state, tasks = ready.finish("later-extended")
    assert (state, tasks["quality_gate"]) == ("failed", "failed"), "what is not labelled is unlearnt"
    lost = gate_of(ready, "later-extended")
    assert not all(lost[f"AP lost by {name}"]["passed"] for name in OLD)

    trigger(ready, "later-kept", **going_on, on_class_change="keep")
    state, tasks = ready.finish("later-kept")
    kept = gate_of(ready, "later-kept")
    print(parent.ap, {name: (lost[name]["value"], kept[name]["value"]) for name in kept if name.startswith("AP lost")})
    assert state == "success", tasks
    (version,) = [one for one in ready.registry.versions(MODEL) if one.run_id == "later-kept"]
    assert classes_of(version) == [*OLD, NEW] and version.parent == parent.reference
    assert ready.registry.aliases(MODEL)["champion"] == version.version
    (task,) = [task for task in ready.airflow.tasks(DAG_ID, "later-kept") if task.task_id == "fine_tune"]
    log = ready.airflow.log(DAG_ID, "later-kept", task)
    assert "on_class_change=keep: no training image is labelled with bolt, nut" in log
