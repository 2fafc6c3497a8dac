"""A file that a finished step left and a later one finds damaged or gone: that step is done again, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxwright.config.run_info import new_run
from boxwright.errors import StorageError
from boxwright.pipeline.lineage import forget_output, run_outputs
from boxwright.pipeline.runner import run_node

STEPS = ("validate_annotations", "download_dataset")


@pytest.mark.parametrize("damage", ["cut", "gone", "folder gone"])
def test_what_is_damaged_is_made_again(settings_of, damage):
    config, run = settings_of(), new_run(f"damaged-{damage.replace(' ', '-')}")
    first = {step: run_node(config, run, step) for step in STEPS}
    folder = Path(first["download_dataset"]["uri"])
    if damage == "cut":
        (folder / "dataset.json").write_bytes((folder / "dataset.json").read_bytes()[:40])
    elif damage == "gone":
        (folder / "manifest.jsonl").unlink()
    else:
        folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(StorageError, match="download_dataset has to be done again, which `boxwright run --resume"):
        run_node(config, run, "build_examples")
    again = {step: run_node(config, run, step) for step in STEPS}
    assert again == first, "what it makes again is the same, in the same place"
    assert (folder / "dataset.json").is_file() and (folder / "manifest.jsonl").is_file()
    kept = folder.with_name(f"{folder.name}.damaged")
    assert kept.is_dir() is (damage != "folder gone"), "nothing is deleted"
    assert run_node(config, run, "build_examples")["fingerprint"] == first["download_dataset"]["fingerprint"]


def test_files_that_no_step_of_the_run_made_are_nobodys_fault(settings_of, home, tmp_path):
    from boxwright.config import Settings

    settings, run = Settings.from_environment(), new_run("whole")
    uri = run_node(settings_of(), run, "validate_annotations")["uri"]
    assert forget_output("whole", f"{home}/weights/x", settings) is None
    assert forget_output("whole", "s3://bucket/x", settings) is None
    assert forget_output("another", f"{uri}/x", settings) is None
    assert list(run_outputs("whole", settings)) == ["validate_annotations"]
