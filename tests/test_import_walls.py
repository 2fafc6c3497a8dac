"""Holds the direction of imports that DESIGN.md draws, by reading the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# Each part of components may import those in a row above its own, and itself. `stack` runs servers beside the work.
ROWS = (
    ("errors",),
    ("config",),
    ("settings",),
    ("nodes", "options", "run_info"),
    ("templates",),
    ("storage",),
    ("dataset",),
    ("model", "stack"),
    ("training",),
    ("evaluation",),
    ("release",),
    ("serving",),
    ("artifacts", "lineage"),
    ("steps",),
    ("pipeline",),
    ("runner",),
    ("cli",),
)
ROW_OF = {part: row for row, parts in enumerate(ROWS) for part in parts}
HEAVY = {
    "tensorflow", "tfx", "keras", "keras_hub", "great_expectations", "mlflow", "ml_metadata", "matplotlib", "hotcoco"
}  # fmt: skip
FOLDERS = ("components", "plugins", "dags")
SOURCES = sorted(path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py"))
COMPONENTS = [path for path in SOURCES if path.relative_to(REPOSITORY).parts[0] == "components"]
ORCHESTRATION = [path for path in SOURCES if path not in COMPONENTS]


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def imported(tree: ast.AST, at_import_only: bool = False) -> Iterator[str]:
    """Dotted names that a module imports anywhere, or only what runs when it is itself imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `from boxwright import model` names the part in the alias.
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)
        elif at_import_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        elif at_import_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        else:
            yield from imported(node, at_import_only)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def test_there_is_something_to_read() -> None:
    assert len(COMPONENTS) > 10
    assert {path.name for path in ORCHESTRATION} >= {"object_detection_training.py", "operators.py", "params.py"}


@pytest.mark.parametrize("path", COMPONENTS, ids=name_of)
def test_components_import_only_what_lies_above_them(path: Path) -> None:
    own = Path(name_of(path)).with_suffix("").parts[1]
    if own == "__init__":
        assert not list(imported(parse(path)))
        return
    assert own in ROW_OF, f"{own} has no place: add it to a row of ROWS and to DESIGN.md"
    # What is not a module is a name of the package itself, as `__version__`.
    modules = {found.stem for found in (REPOSITORY / "components").iterdir()}
    parts = {name.split(".")[1] for name in imported(parse(path)) if name.startswith("components.")} & modules
    wrong = sorted(part for part in parts if part != own and ROW_OF.get(part, len(ROWS)) >= ROW_OF[own])
    assert wrong == [], f"{name_of(path)} imports {wrong}, which lie below or beside {own}"


@pytest.mark.parametrize("path", COMPONENTS, ids=name_of)
def test_components_know_nothing_of_airflow(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(parse(path))}
    assert not roots & {"airflow", "boxwright_airflow", "boxwright_plugin"}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_are_absolute(path: Path) -> None:
    assert [name for name in imported(parse(path)) if name.startswith(".")] == []


@pytest.mark.parametrize("path", ORCHESTRATION, ids=name_of)
def test_dags_and_plugins_load_nothing_heavy_when_parsed(path: Path) -> None:
    names = set(imported(parse(path), at_import_only=True))
    assert not {name.split(".")[0] for name in names} & HEAVY
    assert not [name for name in names if name.startswith(("boxwright.pipeline.runner", "boxwright.pipeline.graph"))]


@pytest.mark.parametrize("path", [path for path in ORCHESTRATION if path.parent.name == "dags"], ids=name_of)
def test_dags_reach_the_work_through_the_plugin_only(path: Path) -> None:
    assert [name for name in imported(parse(path)) if name.startswith("components")] == []


@pytest.mark.parametrize(
    ("source", "everywhere", "at_import"),
    [
        ("import a.b", ["a.b"], ["a.b"]),
        ("from a import b as c", ["a.b"], ["a.b"]),
        ("def f():\n    import a", ["a"], []),
        ("try:\n    import a\nexcept ImportError:\n    import b", ["a", "b"], ["a", "b"]),
        ("if TYPE_CHECKING:\n    import a", ["a"], []),
        ("class C:\n    import a\n    def f(self):\n        import b", ["a", "b"], ["a"]),
    ],
)
def test_the_reader_sees_imports_where_they_are(source: str, everywhere: list[str], at_import: list[str]) -> None:
    assert list(imported(ast.parse(source))) == everywhere
    assert list(imported(ast.parse(source), at_import_only=True)) == at_import
