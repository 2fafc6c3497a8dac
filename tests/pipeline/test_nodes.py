"""The table of nodes against what is made by it: the graph and the runner. The DAG's own tests hold it to the DAG."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from boxwright.config import RunConfig, parse_config
from boxwright.config.run_info import RunInfo
from boxwright.config.settings import Settings
from boxwright.pipeline import nodes, runner
from boxwright.pipeline.nodes import NODES, Leaves, Node, Phase, find_node, nodes_leaving, nodes_of

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("components", "plugins", "dags") for path in (REPOSITORY / folder).rglob("*.py"))
RUN = RunInfo(run_id="r", as_of=datetime(2026, 3, 2, tzinfo=UTC))


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return parse_config({"training": str(tmp_path / "data"), "output": str(tmp_path / "out")})


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Node:
    """A step that somebody added to the table alone."""
    node = Node("explain", "Explain", "says why", Phase.MODEL)
    place = NODES.index(find_node("evaluate")) + 1
    monkeypatch.setattr(nodes, "NODES", (*NODES[:place], node, *NODES[place:]))
    return node


@pytest.fixture
def components(config: RunConfig, tmp_path: Path) -> list[Any]:
    from boxwright.pipeline.graph import create_pipeline

    return list(create_pipeline(config, RUN, Settings(tmp_path)).components)


def test_the_graph_has_the_nodes_of_the_table(components: list[Any]) -> None:
    assert sorted(component.id for component in components) == sorted(node.id for node in NODES)


def test_every_node_comes_after_those_that_it_reads_from(components: list[Any]) -> None:
    order = [node.id for node in NODES]
    for component in components:
        assert all(order.index(above.id) < order.index(component.id) for above in component.upstream_nodes)


def test_rows_lie_in_the_order_of_their_phases() -> None:
    phases = list(Phase)
    places = [phases.index(node.phase) for node in NODES]
    assert places == sorted(places) and set(places) == set(range(len(phases)))


def test_each_kind_of_seed_has_one_node_and_no_other_phase_has_seeds() -> None:
    assert sorted(str(node.seed) for node in nodes_of(Phase.SEED)) == ["incremental", "pretrained"]
    assert {node.seed for node in NODES if node.phase is not Phase.SEED} == {None}


def test_what_ends_a_run_leaves_a_version() -> None:
    assert [node.ends_as for node in nodes_leaving(Leaves.VERSION)] == ["reused", "registered"]
    assert {node.leaves for node in NODES if node.ends_as} == {Leaves.VERSION}


def test_no_other_module_knows_a_node_by_its_name() -> None:
    ids = {node.id for node in NODES}
    found = {
        f"{path.relative_to(REPOSITORY)}:{part.lineno}: {part.value}"
        for path in SOURCES
        if path != Path(nodes.__file__)
        for part in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(part, ast.Constant) and part.value in ids
    }
    assert found == set(), "ask the table for a node by what it is or leaves, not by its name"


def test_an_unknown_node_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="no node 'tune'; its nodes are validate_annotations, download_dataset"):
        find_node("tune")


def test_a_run_takes_in_a_new_row(
    added: Node, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    facts = SimpleNamespace(model_dump=lambda include: dict.fromkeys(include))
    monkeypatch.setattr(runner.RunFacts, "read", lambda folder: facts)

    def run_node(config: RunConfig, run: RunInfo, node_id: str) -> dict[str, Any]:
        ran.append(node_id)
        return {"model_name": "detector", "version": 1, "archive": str(tmp_path / "model.tar.gz")}

    monkeypatch.setattr(runner, "run_node", run_node)
    monkeypatch.setattr(runner, "choose_seed", lambda config, run: "resolve_parent")
    result = runner.run_pipeline(config)
    assert ran[ran.index("resolve_parent") :][:4] == ["resolve_parent", "fine_tune", "evaluate", "explain"]
    assert (ran[-1], result["status"]) == ("register_model", "registered")
    ran.clear()
    monkeypatch.setattr(runner, "choose_seed", lambda config, run: "reuse_version")
    assert runner.run_pipeline(config)["status"] == "reused"
    assert ran == ["validate_annotations", "download_dataset", "build_examples", "reuse_version"]
