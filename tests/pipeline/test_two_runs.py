"""Two `boxwright run` in one home at the same time, each to its end."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import forked

from boxwright.config import Settings
from boxwright.pipeline.local_runs import find_run
from boxwright.registry import open_registry

NAMES = ("one", "other")


def executions() -> Counter[tuple[str, str]]:
    """How often each node of each run ended, by ML Metadata."""
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    from boxwright.metadata import open_store

    store = open_store(Settings.from_environment().metadata)
    found: Counter[tuple[str, str]] = Counter()
    for execution in store.get_executions():
        assert execution.last_known_state in (mlmd.Execution.COMPLETE, mlmd.Execution.CACHED)
        contexts = store.get_contexts_by_execution(execution.id)
        (run,) = [context.name for context in contexts if context.type == "pipeline_run"]
        found[run, execution.type] += 1
    return found


def test_each_comes_to_its_end_and_registers_a_version_of_its_own(dataset, tmp_path):
    settings = {
        "model_id": "speck", "model_name": "pair", "epochs": "1", "image_size": "64", "gate_min_ap50": "0",
        "gate_classes_told_apart": "false", "gate_must_beat_champion": "-1", "export_formats": "saved_model",
    }  # fmt: skip
    processes = []
    for seed, name in enumerate(NAMES):
        command = ["run", "--dataset", str(dataset / "training"), "--output", str(tmp_path / "out"), "--run-id", name]
        command += [f"--set={setting}={value}" for setting, value in {**settings, "seed": seed}.items()]
        processes.append(forked.process(forked.boxwright, [*command, "--json"], tmp_path / name))
        processes[-1].start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    results = [json.loads((tmp_path / name).read_text()) for name in NAMES]

    versions = open_registry().versions("pair")
    assert {version.run_id for version in versions} == set(NAMES) and len(versions) == 2
    assert {Path(version.archive_uri) for version in versions} == {Path(result["model_archive"]) for result in results}
    assert all(Path(version.archive_uri).is_file() and version.accepted for version in versions)
    assert open_registry().aliases("pair")["champion"] in {version.version for version in versions}
    assert all(find_run(name).ended for name in NAMES)

    counted = executions()
    by_run = {run: {kind: times for (of, kind), times in counted.items() if of == run} for run, _ in counted}
    assert len(by_run) == 2
    one, other = by_run.values()
    assert one == other and set(one.values()) == {1}, "each step once in each run, whoever did it"
