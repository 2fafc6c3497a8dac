"""What is compiled, and what ML Metadata is told before a step runs."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from postgres_server import PASSWORD, Postgres

from boxwright.config import Settings, new_run, parse_config
from boxwright.metadata.store import open_store
from boxwright.pipeline.launching import compile_pipeline, prepare_metadata
from boxwright.pipeline.nodes import NODES


@pytest.fixture
def shared(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with ML Metadata in PostgreSQL."""
    monkeypatch.setenv("BOXWRIGHT_METADATA_URI", postgres.new_database())
    return Settings.from_environment()


def test_what_is_compiled_has_no_log_in(shared: Settings) -> None:
    config = parse_config({"training": "/nowhere", "output": "/nowhere"})
    compiled = compile_pipeline(config, new_run(), shared)
    data = compiled.SerializeToString() + str(compiled).encode()
    for text in (PASSWORD, quote(PASSWORD, safe=""), shared.metadata.server["dbname"]):
        assert text.encode() not in data


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
def test_all_types_of_the_pipeline_are_registered_and_once(engine: str, request: pytest.FixtureRequest) -> None:
    settings = request.getfixturevalue("shared") if engine == "postgresql" else Settings.from_environment()
    prepare_metadata(settings)
    store = open_store(settings.metadata)
    known = [
        one.name for one in (*store.get_execution_types(), *store.get_artifact_types(), *store.get_context_types())
    ]
    assert len(known) == len(set(known))
    executions = {one.name.rpartition(".")[2] for one in store.get_execution_types()}
    assert {node.id for node in NODES} <= executions
    assert {"pipeline", "pipeline_run", "node", "execution_cache"} <= set(known)
    dataset = store.get_artifact_type("BoxwrightDataset")
    assert {"fingerprint", "images"} <= set(dataset.properties)
    prepare_metadata(settings)
    assert known == [
        one.name for one in (*store.get_execution_types(), *store.get_artifact_types(), *store.get_context_types())
    ]
