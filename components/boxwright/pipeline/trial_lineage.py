"""The trials of a study in ML Metadata: each made of a run's examples and seed, and an input of what the study chose.

TFX keeps one execution of a node in a run, and so has no word for trials, of which there are as many as a study asks
for. They are written here, in a context of the study's name beside TFX's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boxwright.config import Settings, Value
from boxwright.metadata import Types, ask, held, register_types
from boxwright.pipeline.lineage import finished_nodes
from boxwright.pipeline.nodes import Phase, nodes_of

STUDY_CONTEXT, TRIAL_ARTIFACT, TRIAL_EXECUTION = "BoxwrightStudy", "BoxwrightTrial", "boxwright.tuning.trial"


@dataclass(frozen=True)
class TracedTrial:
    """A trial that has ended.

    Attributes:
        number: in its study, from 0.
        state: what became of it, in a word.
        failed: whether it crashed.
        settings: its hyperparameters by name.
        value: of the objective; None where there is none.
    """

    number: int
    state: str
    failed: bool
    settings: Mapping[str, Value]
    value: float | None


def note_trials(run_id: str, study: str, trials: Sequence[TracedTrial], settings: Settings | None = None) -> None:
    """Writes the trials of a study between what they were made of and what it chose; those that are there stay.

    Args:
        run_id: of the run that has chosen: its examples, its seed and its choice are in ML Metadata.
        study: its name.
        trials: all of them.
        settings: where ML Metadata is.

    Raises:
        StorageError: ML Metadata cannot be used.
    """
    settings = settings or Settings.from_environment()
    register_types(settings.metadata, trial_types())
    with held(settings.metadata, run_id, "trials"):
        ask(settings.metadata, lambda store: _note(store, run_id, study, trials))


def _note(store: Any, run_id: str, study: str, trials: Sequence[TracedTrial]) -> None:
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    done = finished_nodes(run_id, store)
    context = store.get_context_by_type_and_name(STUDY_CONTEXT, study) or mlmd.Context(
        type_id=store.get_context_type(STUDY_CONTEXT).id, name=study
    )
    made_of = [nodes_of(Phase.DATA)[-1].id, *(node.id for node in nodes_of(Phase.SEED))]
    inputs = [(done[name][1], mlmd.Event(type=mlmd.Event.INPUT)) for name in made_of if name in done]
    for trial in trials:
        name = f"{study}/{trial.number}"
        if store.get_artifact_by_type_and_name(TRIAL_ARTIFACT, name) is None:
            state = mlmd.Execution.FAILED if trial.failed else mlmd.Execution.COMPLETE
            type_id = store.get_execution_type(TRIAL_EXECUTION).id
            execution = mlmd.Execution(type_id=type_id, name=name, last_known_state=state)
            output = (_artifact(store, name, trial), mlmd.Event(type=mlmd.Event.OUTPUT))
            store.put_execution(execution, [*inputs, output], [context], reuse_context_if_already_exist=True)
    _lead_to_choice(store, done[nodes_of(Phase.STUDY)[-1].id][0], study, trials)


def _artifact(store: Any, name: str, trial: TracedTrial) -> Any:
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    made = mlmd.Artifact(type_id=store.get_artifact_type(TRIAL_ARTIFACT).id, name=name, state=mlmd.Artifact.LIVE)
    made.properties["number"].int_value = trial.number
    made.properties["state"].string_value = trial.state
    made.properties["settings"].string_value = json.dumps(dict(trial.settings))
    if trial.value is not None:
        made.properties["value"].double_value = trial.value
    return made


def _lead_to_choice(store: Any, choice: Any, study: str, trials: Sequence[TracedTrial]) -> None:
    """Makes all trials inputs of the execution that chose."""
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    known = {event.artifact_id for event in store.get_events_by_execution_ids([choice.id])}
    found = [store.get_artifact_by_type_and_name(TRIAL_ARTIFACT, f"{study}/{one.number}") for one in trials]
    missing = [(one, mlmd.Event(type=mlmd.Event.INPUT)) for one in found if one.id not in known]
    store.put_execution(choice, missing, [store.get_context_by_type_and_name(STUDY_CONTEXT, study)])


def trial_types() -> Types:
    """The types of ML Metadata that trials have."""
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    properties = {"number": mlmd.INT, "state": mlmd.STRING, "settings": mlmd.STRING, "value": mlmd.DOUBLE}
    return Types(
        [mlmd.ArtifactType(name=TRIAL_ARTIFACT, properties=properties)],
        [mlmd.ExecutionType(name=TRIAL_EXECUTION)],
        [mlmd.ContextType(name=STUDY_CONTEXT)],
    )
