"""`boxwright run` killed in each of its steps: the next try repeats that step alone, and one version is registered."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

import forked
import pytest

import boxwright
from boxwright.pipeline.addresses import folder_of
from boxwright.pipeline.local_runs import find_run
from boxwright.pipeline.nodes import Phase, nodes_of

# In the order in which a run from pretrained weights does them.
STEPS = [
    node.id
    for node in (*nodes_of(Phase.DATA), *nodes_of(Phase.SEED), *nodes_of(Phase.MODEL, Phase.RELEASE))
    if node.seed != "incremental"
]
# How the process ends that gets the signal; SIGTERM is a shell's 143.
EXIT_CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 128 + signal.SIGTERM}


def run_until(arguments: list[str], kill: tuple[str, str, int] | None, worked: str) -> None:
    """`boxwright run` in this process, which ends at the step and moment that `kill` names.

    Args:
        arguments: of the command.
        kill: the step; "begun", with ML Metadata and the disk as a step leaves them that has only begun to write, or
            "done", with its work whole and not recorded; and the signal.
        worked: a file that gets the name of each step that does its work.
    """
    from tfx.orchestration.portable.launcher import Launcher

    step, moment, number = kill or ("", "", 0)
    execute, record = Launcher._run_executor, Launcher._publish_successful_execution

    def work(self, info):
        node_id = self._pipeline_node.node_info.id
        if (node_id, moment) == (step, "begun"):
            for (artifact,) in info.output_dict.values():
                folder_of(artifact).mkdir(parents=True, exist_ok=True)
                (folder_of(artifact) / "half.tmp").write_text("of what was to be written")
            os.kill(os.getpid(), number)
        with Path(worked).open("a") as file:
            file.write(f"{node_id}\n")
        return execute(self, info)

    def end(self, *given, **named):
        if (self._pipeline_node.node_info.id, moment) == (step, "done"):
            os.kill(os.getpid(), number)
        return record(self, *given, **named)

    Launcher._run_executor, Launcher._publish_successful_execution = work, end
    forked.boxwright(["run", *arguments])


@pytest.mark.parametrize("moment", ["begun", pytest.param("done", marks=pytest.mark.long)])
def test_only_the_killed_step_is_repeated_and_one_version_registered(dataset, tmp_path, moment):
    from boxwright.registry.opening import open_registry

    name, worked = f"killed-{moment}", tmp_path / "worked"
    first = ["--dataset", str(dataset / "training"), "--output", str(tmp_path / "out"), "--run-id", name]
    first += ["--model-name", name, "--set", "model_id=speck", "--set", "epochs=1", "--set", "image_size=64"]
    first += ["--set", "gate_min_ap50=0", "--set", "gate_classes_told_apart=false", "--set", "force=true"]
    first += ["--set", "export_formats=saved_model"]

    def run(arguments: list[str], kill: tuple[str, str, int] | None = None) -> int | None:
        process = forked.process(run_until, arguments, kill, str(worked))
        process.start()
        process.join()
        return process.exitcode

    arguments, expected = first, []
    for step, number in zip(STEPS, itertools.cycle(EXIT_CODES), strict=False):
        assert run(arguments, (step, moment, number)) == EXIT_CODES[number], step
        assert not find_run(name).ended
        arguments = ["--resume", name]
        # What worked and was not recorded works again, in the next try; nothing else does.
        expected += [step, step] if moment == "done" else [step]
    assert run(arguments) == 0
    assert worked.read_text().split() == expected
    assert find_run(name).ended
    (version,) = open_registry().versions(name)
    assert version.accepted and Path(version.archive_uri).is_file()
    assert not list((tmp_path / "out").rglob("half.tmp")), "what was begun stays where the step works"
    assert run(first) == 2, "the first command again: there is a run of that name"
    assert run(["--resume", name]) == 0 and worked.read_text().split() == expected

    ended = boxwright.resume(name)
    assert (ended.status, ended.model, ended.archive) == ("registered", version.reference, version.archive_uri)
    assert ended.metrics["AP"] == version.ap and set(ended.per_class) == set(ended.facts.classes)
    assert "evaluation" in ended.report.html.lower() and "<iframe" in ended.report._repr_html_()
    assert len(open_registry().versions(name)) == 1 and worked.read_text().split() == expected
