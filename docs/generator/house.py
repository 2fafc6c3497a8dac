"""The parts of the project and what they import from each other, read from the sources.

`ROWS` and `WINGS` are the one place that says which part may import which: `tests/test_import_walls.py` holds it, and
the pictures and the page of `docs/architecture.md` are drawn from it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "components" / "boxwright"

# Each part of the package may import those in a row above its own, and itself.
ROWS = (
    ("errors", "postgresql", "tensorflow_import", "version"),
    ("quiet",),
    ("config",),
    ("airflow_api", "images", "metadata", "reporting", "storage"),
    ("dataset",),
    ("model",),
    ("training",),
    ("evaluation",),
    ("packaging",),
    ("exporting",),
    ("registry",),
    ("serving",),
    ("pipeline",),
    ("tuning",),
    ("stack",),
    ("api", "doctor", "sagemaker"),
    ("cli",),
    ("__main__",),
)
# The wings of `dataset`, in the same way.
WINGS = (("annotations",), ("validation",), ("report",), ("snapshot",), ("examples", "sample"), ("importing",))
# What is outside of the package and uses it.
USERS = (("plugins",), ("dags",))
FOLDERS = ("components", *(name for row in USERS for name in row))

Rows = tuple[tuple[str, ...], ...]
Edges = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class House:
    """The parts, each with the first line of what it says about itself, and which imports which.

    Attributes:
        parts: purpose by name.
        edges: importing part and imported one.
        wings, wing_edges: the same within `dataset`.
    """

    parts: Mapping[str, str]
    edges: Edges
    wings: Mapping[str, str]
    wing_edges: Edges


def read_house() -> House:
    """What the sources of this repository say."""
    edges: set[tuple[str, str]] = set()
    wing_edges: set[tuple[str, str]] = set()
    for path in sources():
        own = place_of(path)
        if own == ["__init__"]:
            continue  # the package itself is no part
        for name in imported(parse(path)):
            theirs = (origin(name) or name).split(".")
            if theirs[0] == "boxwright_airflow":
                theirs = ["boxwright", "plugins"]
            # What is no part is a name of the package itself, as `__version__`.
            if theirs[0] != "boxwright" or len(theirs) < 2 or not has_place(theirs[1]):
                continue
            if own[0] != theirs[1]:
                edges.add((own[0], theirs[1]))
            elif own[0] == "dataset" and len(own) > 1 and own[1] != theirs[2]:
                wing_edges.add((own[1], theirs[2]))
    wings = {name: _purpose(PACKAGE / "dataset" / name) for row in WINGS for name in row}
    parts = {name: _purpose(_path_of(name)) for row in (*ROWS, *USERS) for name in row}
    return House(parts, frozenset(edges), wings, frozenset(wing_edges))


def has_place(part: str) -> bool:
    """Whether a row names the part."""
    return any(part in row for row in (*ROWS, *USERS))


def place_of(path: Path) -> list[str]:
    """Part, and what is below it, of a source file: `["dataset", "report", "page"]`, `["plugins"]`."""
    if path.is_relative_to(PACKAGE):
        return module_of(path).split(".")[1:] or ["__init__"]
    return [path.relative_to(REPOSITORY).parts[0]]


@cache
def sources() -> tuple[Path, ...]:
    """Every Python file of the package, the plugins and the DAGs."""
    return tuple(sorted(path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")))


@cache
def modules() -> Mapping[str, Path]:
    """The files of the package by module, `boxwright.model.store`; a folder's `__init__.py` by the folder's name."""
    return {module_of(path): path for path in sources() if path.is_relative_to(PACKAGE)}


def module_of(path: Path) -> str:
    """`boxwright.model.store` of a file of the package; a folder's name of its `__init__.py`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a source file or stub."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


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


@cache
def offered(folder: str) -> Mapping[str, str]:
    """The names that a folder's stub gives to others, with the module that each is from."""
    stub = modules()[folder].with_suffix(".pyi")
    if not stub.exists():
        return {}
    lines = [node for node in parse(stub).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: f"{folder}.{node.module or alias.name}" for node in lines for alias in node.names}


def origin(name: str) -> str | None:
    """The module of the package that an imported name is from; None where it is from elsewhere."""
    if not name.startswith("boxwright."):
        return None
    if name in modules() and modules()[name].name != "__init__.py":
        return name
    folder, _, last = name.rpartition(".")
    if folder in modules() and modules()[folder].name != "__init__.py":
        return folder
    return offered(folder).get(last, name if name in modules() else folder)


def _path_of(part: str) -> Path:
    if (part,) in USERS:
        return REPOSITORY / part
    folder = PACKAGE / part
    return folder if folder.is_dir() else folder.with_suffix(".py")


_PURPOSES = {"plugins": "plugins/boxwright_airflow/__init__.py", "dags": "dags/object_detection_training.py"}


def _purpose(path: Path) -> str:
    if path.name in _PURPOSES:
        path = REPOSITORY / _PURPOSES[path.name]
    elif path.is_dir():
        path = path / "__init__.py"
    return (ast.get_docstring(parse(path)) or "").partition("\n")[0]
