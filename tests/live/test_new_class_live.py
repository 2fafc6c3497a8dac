"""A class that comes later, through the DAG: a parent, an extension that keeps old classes, one that unlearns them."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import pytest

from boxwright.airflow_api.trigger import DAG_ID
from boxwright.config import ANNOTATIONS_FILE, Settings
from boxwright.dataset.sample import generate_sample
from boxwright.errors import GateError
from boxwright.pipeline import trace
from boxwright.stack.uploading import upload_dataset
from live.live_runs import log_in
from live.pages import visiting

if TYPE_CHECKING:
    from pathlib import Path

    from live.conftest import LiveStack

# Three trainings that have to learn something.
pytestmark = [pytest.mark.long, pytest.mark.timeout(5400)]
OLD, NEW = ("bolt", "washer"), "nut"
MODEL, PLACE = "growing", "s3://boxwright/datasets/growing"
# AP that an old class may lose, of the little that its parent has; all of it is lost without `keep`.
BOUND = 0.15
CONF = {
    "output": "s3://boxwright/runs",
    "model_name": MODEL,
    "image_size": 192,
    "epochs": 40,
    "validation_ap_epochs": 0,
    "gate_min_ap50": 0.1,
    "gate_classes_told_apart": False,
    "gate_max_class_loss": BOUND,
    "export_formats": ["saved_model"],
}


def _relabel(file: Path, labelled: Collection[str], named: Collection[str]) -> None:
    """Leaves a file the labels of some classes, and the names of some more."""
    content = json.loads(file.read_text())
    names = {one["id"]: one["name"] for one in content["categories"]}
    content["annotations"] = [one for one in content["annotations"] if names[one["category_id"]] in labelled]
    content["categories"] = [one for one in content["categories"] if one["name"] in named]
    file.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def datasets(ready: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The same pictures as the parent and as the extension get them; the latter's test split has all labels."""
    folder = tmp_path_factory.mktemp("growing")
    everything = (*OLD, NEW)
    labels: dict[str, dict[str, tuple[Collection[str], Collection[str]]]] = {
        "parent": {split: (OLD, OLD) for split in ("training", "validation", "test")},
        "extension": {
            "training": ((NEW,), everything),
            "validation": ((NEW,), everything),
            "test": (everything, everything),
        },
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ready.env.items():
            patch.setenv(name, value)
        for name, splits in labels.items():
            generate_sample(folder / name, images=140, seed=11)
            for split, (labelled, named) in splits.items():
                _relabel(folder / name / split / ANNOTATIONS_FILE, labelled, named)
            upload_dataset(folder / name, f"{PLACE}/{name}")
    return {name: {split: f"{PLACE}/{name}/{split}" for split in splits} for name, splits in labels.items()}


def _measured(stack: LiveStack, run_id: str) -> dict[str, float]:
    """AP of each class on the test images."""
    answer = stack.s3.get_object(Bucket="boxwright", Key=f"runs/{run_id}/output/metrics.json")
    return {name: one["AP"] for name, one in json.loads(answer["Body"].read())["per_class"].items()}


def _run(stack: LiveStack, run_id: str, **conf: Any) -> tuple[str, dict[str, str]]:
    stack.airflow.trigger(DAG_ID, run_id, CONF | conf)
    return stack.finish(run_id)


def test_a_new_class_comes_and_the_old_ones_stay(
    ready: LiveStack,
    datasets: dict[str, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    browser: Any,
    pictures: Path,
) -> None:
    for name, value in ready.env.items():
        monkeypatch.setenv(name, value)
    state, tasks = _run(ready, "growing-parent", **datasets["parent"])
    assert state == "success", tasks
    parent = _measured(ready, "growing-parent")
    print("parent", parent)
    assert set(parent) == set(OLD) and min(parent.values()) > BOUND

    extension = datasets["extension"] | {"seed_mode": "incremental"}
    # Where it is an error, as without this, the run ends before the training that unlearns them.
    warned = {"validation_severities": {"class_not_in_training": "warning"}}
    state, tasks = _run(ready, "growing-extend", **extension, **warned, on_class_change="extend")
    print("extend", state, tasks)
    assert (state, tasks["quality_gate"]) == ("failed", "failed")
    assert ready.airflow.exit_code(DAG_ID, "growing-extend", "quality_gate") == GateError.exit_code
    (failed,) = [task for task in ready.airflow.tasks(DAG_ID, "growing-extend") if task.task_id == "quality_gate"]
    line = ready.airflow.error_line(DAG_ID, "growing-extend", failed)
    print(line)
    assert all(name in line for name in OLD)

    state, tasks = _run(ready, "growing-keep", **extension, on_class_change="keep")
    assert state == "success", tasks
    kept = _measured(ready, "growing-keep")
    print("keep", kept)
    assert all(kept[name] > parent[name] - BOUND for name in OLD) and kept[NEW] > BOUND
    assert ready.registry.aliases(MODEL)["champion"] == 2
    (task,) = [task for task in ready.airflow.tasks(DAG_ID, "growing-keep") if task.task_id == "fine_tune"]
    log = ready.airflow.log(DAG_ID, "growing-keep", task)
    assert "on_class_change=keep: no training image is labelled with" in log

    newest, oldest = trace(MODEL, Settings.from_environment())
    assert (newest.run_id, oldest.run_id) == ("growing-keep", "growing-parent")
    with visiting(browser, ready.stack, log_in(ready.stack)) as visit:
        for place, file in ((f"/runs/{DAG_ID}/growing-extend", "refused"), (f"/models/{MODEL}/2", "version")):
            page = visit.open(place)
            page.screenshot(path=pictures / f"new-class-{file}.png", full_page=True)
            assert all(name in page.locator("main").inner_text() for name in OLD)
