"""Holds the direction of imports that `docs/architecture.md` draws; `docs/generator/house.py` has the rows."""

from __future__ import annotations

import ast
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from docs.generator.house import (
    PACKAGE,
    REPOSITORY,
    ROWS,
    WINGS,
    imported,
    module_of,
    modules,
    offered,
    origin,
    parse,
    sources,
)

HEAVY = {
    "tensorflow", "tfx", "keras", "keras_hub", "great_expectations", "mlflow", "ml_metadata", "matplotlib", "hotcoco"
}  # fmt: skip
SOURCES = sources()
COMPONENTS = [path for path in SOURCES if path.is_relative_to(PACKAGE)]
# The package itself and its modules that are no folders.
SINGLE = ("boxwright", *(f"boxwright.{path.stem}" for path in PACKAGE.glob("[a-z]*.py")))
ORCHESTRATION = [path for path in SOURCES if path not in COMPONENTS]


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


MODULES = modules()


def test_there_is_something_to_read() -> None:
    assert len(COMPONENTS) > 10
    assert {path.name for path in ORCHESTRATION} >= {"object_detection_training.py", "operators.py", "run_settings.py"}


@pytest.mark.parametrize("path", COMPONENTS, ids=name_of)
def test_parts_import_only_what_lies_above_them(path: Path) -> None:
    own = module_of(path).split(".")[1:]
    if not own:
        return
    wrong = [
        name for name in imported(parse(path)) if name.startswith("boxwright.") and _is_below(own, name.split(".")[1:])
    ]
    assert wrong == [], f"{name_of(path)} imports {wrong}, which lie below or beside it: see docs/architecture.md"


def _is_below(own: list[str], theirs: list[str]) -> bool:
    if own[0] != theirs[0]:
        # What is no part is a name of the package itself, as `__version__`.
        return theirs[0] in _parts() and _row(ROWS, theirs[0]) >= _row(ROWS, own[0])
    if own[0] == "dataset" and own[1] != theirs[1]:
        return _row(WINGS, theirs[1]) >= _row(WINGS, own[1])
    return False


def _parts() -> set[str]:
    return {path.stem for path in PACKAGE.iterdir() if path.name != "__init__.py"}


def _row(rows: tuple[tuple[str, ...], ...], part: str) -> int:
    found = [number for number, parts in enumerate(rows) if part in parts]
    assert found, f"{part} has no place: add it to a row of docs/generator/house.py"
    return found[0]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_other_folders_are_reached_through_the_names_that_they_offer(path: Path) -> None:
    own = module_of(path).rpartition(".")[0] if path in COMPONENTS else ""
    wrong = []
    for name in imported(parse(path)):
        folder, _, last = name.rpartition(".")
        if not name.startswith("boxwright.") or folder in (*SINGLE, own):
            continue
        if folder.rpartition(".")[0] == own and MODULES[folder].name != "__init__.py":
            continue  # a module beside this one
        if last not in offered(folder):
            wrong.append(name)
    assert wrong == [], (
        f"{name_of(path)} imports {wrong}: name it in the folder's __init__.pyi, and import it from there"
    )


def test_every_offered_name_is_there_and_taken() -> None:
    """A stub is what other folders need, neither less nor more."""
    users = [*SOURCES, *(path for folder in ("tests", "benchmarks") for path in (REPOSITORY / folder).rglob("*.py"))]
    taken = {name for path in users for name in imported(parse(path)) if name.startswith("boxwright.")}
    for folder, path in MODULES.items():
        for name, module in offered(folder).items():
            assert f"{folder}.{name}" in taken, f"{folder}/__init__.pyi offers {name}, which no other folder takes"
            if module != f"{folder}.{name}":
                assert name in _defined(MODULES[module]), f"{path.with_suffix('.pyi')}: {module} has no {name}"


def _defined(path: Path) -> set[str]:
    names = set()
    for node in parse(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {found.id for target in targets for found in ast.walk(target) if isinstance(found, ast.Name)}
    return names


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        module: {found for name in imported(parse(path)) if (found := origin(name)) and found != module}
        for module, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("path", COMPONENTS, ids=name_of)
def test_the_package_knows_nothing_of_airflow(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(parse(path))}
    assert not roots & {"airflow", "boxwright_airflow", "boxwright_plugin"}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_are_absolute(path: Path) -> None:
    assert [name for name in imported(parse(path)) if name.startswith(".")] == []


@pytest.mark.parametrize("path", ORCHESTRATION, ids=name_of)
def test_dags_and_plugins_load_nothing_heavy_when_parsed(path: Path) -> None:
    names = set(imported(parse(path), at_import_only=True))
    assert not {name.split(".")[0] for name in names} & HEAVY
    assert {origin(name) for name in names if name.startswith("boxwright.pipeline")} <= {"boxwright.pipeline.nodes"}


def test_the_table_of_nodes_is_light() -> None:
    roots = {name.split(".")[0] for name in imported(parse(PACKAGE / "pipeline" / "nodes.py"))}
    assert roots <= {"__future__", "boxwright", "dataclasses", "enum", "typing"}


@pytest.mark.parametrize("path", [path for path in ORCHESTRATION if path.parent.name == "dags"], ids=name_of)
def test_dags_reach_the_work_through_the_plugin_only(path: Path) -> None:
    assert [name for name in imported(parse(path)) if name.startswith("boxwright.")] == []


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


def test_test_modules_have_names_of_their_own() -> None:
    """Pytest takes one of two modules of one name for the other, which only a run of the whole suite shows."""
    of_a_folder = ("conftest.py", "__init__.py")
    names = Counter(path.name for path in (REPOSITORY / "tests").rglob("*.py") if path.name not in of_a_folder)
    assert [name for name, count in names.items() if count > 1] == []
