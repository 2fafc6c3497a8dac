"""The tutorial's commands, pasted into a shell: from a folder of labels to a model that answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from walk import BLOCKS, EPOCHS, Shell, all_blocks

from live.live_runs import DATASET, MODEL, QUICK

if TYPE_CHECKING:
    from live.conftest import LiveStack


def test_every_block_of_the_page_is_one_that_is_run() -> None:
    assert [[name for name, told in BLOCKS.items() if told in block] for block in all_blocks()] == [
        [name] for name in BLOCKS
    ]


@pytest.fixture(scope="module")
def labelled(shell: Shell) -> Shell:
    """The shell, with the dataset that labels of another tool have become."""
    shell.run("draw", {"--images 60": "--images 12"})
    assert "usable (0 errors, 0 warnings)" in shell.run("convert")
    return shell


def test_labels_of_another_tool_come_into_the_bucket(ready: LiveStack, labelled: Shell) -> None:
    assert "s3://boxwright/datasets/bolts: 15 files sent" in labelled.run("upload")
    labelled.run("weeks", {"s3://boxwright/weekly": "s3://boxwright/walked"})
    kept = {
        entry["Key"]
        for prefix in ("datasets/bolts/", "walked/")
        for entry in ready.s3.list_objects_v2(Bucket="boxwright", Prefix=prefix)["Contents"]
    }
    assert {f"datasets/bolts/{split}/annotations.json" for split in ("training", "validation", "test")} <= kept
    assert {f"walked/2026-01-{day}/training/annotations.json" for day in (12, 19)} <= kept


def test_the_same_run_again_ends_with_the_version_there_is(
    ready: LiveStack, first: dict[str, str], shell: Shell
) -> None:
    """The dataset and the settings of the first run, so that nothing is trained."""
    settings = QUICK | {"model_name": MODEL, "seed_mode": "pretrained", "export_formats": "saved_model"}
    same = " ".join(f"--set {name}={value}" for name, value in settings.items())
    bolts = "s3://boxwright/datasets/bolts"
    said = shell.run("trigger", {bolts: DATASET, EPOCHS: f"{same} --run-id once-more --json"})
    result = json.loads(said.strip().splitlines()[-1])
    assert (result["status"], result["model_name"], result["version"]) == ("reused", MODEL, 1)
    assert "reuse_version success" in said
    assert "once-more" not in [version.run_id for version in ready.registry.versions(MODEL)]


def test_the_model_looks_at_images_and_answers_requests(first: dict[str, str], labelled: Shell) -> None:
    own = {"models:/detector": f"models:/{MODEL}"}
    process = labelled.start("serve", own | {"--follow": "--follow --port 0"})
    assert process.stdout
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("serving "):
                break
        assert said and said[-1].startswith(f"serving models:/{MODEL}/1 on http://"), "".join(said)
        url = said[-1].split()[-1]
        assert len(list((labelled.folder / "found").glob("*.png"))) == 2
        assert "normalized_boxes" in json.loads(labelled.run("ask", {"http://127.0.0.1:8090": url}))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
