"""The way of a study through ML Metadata: from examples and seed over its trials to what it chose, and to the model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from boxwright.config.run_info import RunInfo
from boxwright.config.settings import Settings
from boxwright.metadata.store import open_store
from boxwright.pipeline.lineage import finished_nodes, run_outputs
from boxwright.pipeline.nodes import Phase, find_node, nodes_of
from boxwright.pipeline.runner import run_nodes
from boxwright.pipeline.trial_lineage import STUDY_CONTEXT, TracedTrial, note_trials

RUN = RunInfo(run_id="tuned", as_of=datetime(2026, 3, 2, tzinfo=UTC), study="s", tuned='{"batch_size": 5}')
TRIALS = [
    TracedTrial(0, "complete", False, {"batch_size": 4}, 0.25),
    TracedTrial(1, "failed", True, {"batch_size": 64}, None),
    TracedTrial(2, "complete", False, {"batch_size": 5}, 0.5),
]


@pytest.fixture(scope="module")
def store(settings_of: Any) -> Any:
    """That of a run that was tuned, as far as its training."""
    config = settings_of(hyperparameters={"epochs": 1, "batch_size": 4, "image_size": 64})
    seed = find_node("fetch_pretrained")
    run_nodes(config, RUN, [*nodes_of(Phase.DATA), seed, *nodes_of(Phase.STUDY)])
    for known in (TRIALS[:2], TRIALS, TRIALS):  # repeated, as after a kill
        note_trials(RUN.run_id, "s", known)
    run_nodes(config, RUN, [find_node("fine_tune")])
    return open_store(Settings.from_environment().metadata)


def origins(store: Any, artifact: Any) -> list[Any]:
    """The artifacts that the execution which made one read."""
    from ml_metadata.proto.metadata_store_pb2 import Event

    (made,) = [one for one in store.get_events_by_artifact_ids([artifact.id]) if one.type == Event.OUTPUT]
    read = [one for one in store.get_events_by_execution_ids([made.execution_id]) if one.type == Event.INPUT]
    return list(store.get_artifacts_by_id([one.artifact_id for one in read]))


def test_the_model_is_made_of_what_the_study_chose_of_its_trials(store: Any) -> None:
    done = finished_nodes(RUN.run_id, store)
    before_model = {one.type: one for one in origins(store, done["fine_tune"][1])}
    assert set(before_model) == {"BoxwrightExamples", "BoxwrightSeedModel", "BoxwrightTunedSettings"}
    before_choice = origins(store, before_model["BoxwrightTunedSettings"])
    trials = sorted((one for one in before_choice if one.type == "BoxwrightTrial"), key=lambda one: one.name)
    assert [one.name for one in trials] == ["s/0", "s/1", "s/2"]
    assert trials[2].properties["value"].double_value == 0.5 and "value" not in trials[1].properties
    assert trials[1].properties["state"].string_value == "failed"
    for one in trials:
        assert {made_of.type for made_of in origins(store, one)} == {"BoxwrightExamples", "BoxwrightSeedModel"}


def test_a_study_is_a_context_of_its_trials(store: Any) -> None:
    context = store.get_context_by_type_and_name(STUDY_CONTEXT, "s")
    assert len([one for one in store.get_artifacts_by_context(context.id) if one.type == "BoxwrightTrial"]) == 3
    assert len(store.get_executions_by_context(context.id)) == len(TRIALS) + 1


def test_a_run_knows_what_was_chosen_and_its_steps_are_those_of_the_table(store: Any) -> None:
    outputs = run_outputs(RUN.run_id, Settings.from_environment())
    assert (outputs["choose_best"]["study"], outputs["choose_best"]["settings"]) == ("s", '{"batch_size": 5}')
    assert [*outputs] == [
        *("validate_annotations", "download_dataset", "build_examples", "fetch_pretrained"),
        *("choose_best", "fine_tune"),
    ]
