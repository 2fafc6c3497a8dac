"""Each part of the house imports only what the extra that brings it in declares: `boxwright[serve]` and the like."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
OURS = {"boxwright", "boxwright_airflow", "boxwright_plugin"}
# What a folder may import beside the dependencies that every part has. Where several fit, the first one wins.
EXTRAS = {
    "components/boxwright/dataset/examples/beam.py": {"train", "beam"},
    "components/boxwright/serving": {"serve"},
    "components/boxwright/exporting": {"serve", "export"},
    "components/boxwright/images": {"serve"},
    "components/boxwright/stack": {"stack", "cluster"},
    "components/boxwright/doctor": {"train", "cluster"},
    "components/boxwright/cli": set[str](),
    "components/boxwright/config": set[str](),
    "components/boxwright/storage": set[str](),
    "components/boxwright/airflow_api": set[str](),
    "components/boxwright/errors.py": set[str](),
    "components/boxwright/version.py": set[str](),
    "components/boxwright": {"train"},
    "plugins": {"airflow"},
    "dags": {"airflow"},
}
SOURCES = sorted(
    path for folder in ("components", "plugins", "dags") for path in REPOSITORY.joinpath(folder).rglob("*.py")
)


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: list[Any]) -> set[str]:
    """Distributions, with those of the extras and groups that are named among them."""
    found = set()
    for requirement in requirements:
        if isinstance(requirement, dict):
            found |= declared(project()["dependency-groups"][requirement["include-group"]])
            continue
        name, extras = re.match(r"([A-Za-z0-9._-]+)(?:\[(.*?)\])?", requirement).groups()  # type: ignore[union-attr]
        if name == "boxwright":
            for extra in extras.split(","):
                found |= declared(project()["project"]["optional-dependencies"][extra.strip()])
        found.add(normal(name))
    return found


def allowed(extras: set[str]) -> set[str]:
    optional = project()["project"]["optional-dependencies"]
    return declared(project()["project"]["dependencies"]).union(*(declared(optional[extra]) for extra in extras))


@cache
def distributions() -> dict[str, set[str]]:
    """Names of distributions by the module that they bring."""
    found = {module: {normal(name) for name in names} for module, names in packages_distributions().items()}
    for name, module in project()["tool"]["deptry"]["package_module_name_map"].items():
        found.setdefault(module, set()).add(normal(name))
    return found


def third_party(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        roots = {name.split(".")[0] for name in names}
        yield from roots - OURS - sys.stdlib_module_names


def undeclared(path: Path, names: set[str]) -> list[str]:
    return sorted({root for root in third_party(path) if not distributions().get(root, set()) & names})


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_part_imports_what_its_extra_declares(path: Path) -> None:
    place = next(place for place in EXTRAS if f"{name_of(path)}/".startswith(f"{place}/"))
    missing = undeclared(path, allowed(EXTRAS[place]))
    assert missing == [], (
        f"{name_of(path)} imports {missing}, which the extras {EXTRAS[place] or '(none)'} do not bring"
    )


def brought(extra: str) -> set[str]:
    """The distributions that an extra installs: those that it declares, and all that they need."""
    waiting, found = [(name, "") for name in allowed({extra})], set()
    while waiting:
        name, with_extras = waiting.pop()
        if (name, with_extras) in found:
            continue
        found.add((name, with_extras))
        try:
            needed = requires(name) or []
        except PackageNotFoundError:  # for another machine
            continue
        for line in needed:
            of_extra = re.search(r"extra == ['\"]([^'\"]+)", line)
            if of_extra is None or of_extra[1] in with_extras.split(","):
                other, extras = re.match(r"([A-Za-z0-9._-]+)(?:\[(.*?)\])?", line).groups()  # type: ignore[union-attr]
                waiting.append((normal(other), extras or ""))
    return {name for name, _ in found}


# What stands for an environment that has an extra alone: no other module is found.
ALONE = """
import importlib, pkgutil, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
absent = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Absent())
import airflow_env, boxwright_airflow
for found in pkgutil.walk_packages(boxwright_airflow.__path__, "boxwright_airflow."):
    importlib.import_module(found.name)
from boxwright_airflow.pages.app import build
assert build().routes
"""


def test_pages_and_operators_need_nothing_but_their_extra() -> None:
    there = brought("airflow")
    absent = [module for module, names in distributions().items() if not names & there]
    assert {"tensorflow", "great_expectations", "mlflow"} <= set(absent)
    command = [sys.executable, "-c", ALONE, ",".join(set(absent) - OURS - {"airflow"})]
    path = os.pathsep.join(str(REPOSITORY / folder) for folder in ("components", "plugins", "tests"))
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_tests_and_benchmarks_import_what_is_declared() -> None:
    folders = ("tests", "benchmarks", "docs")
    paths = sorted(path for folder in folders for path in REPOSITORY.joinpath(folder).rglob("*.py"))
    own = {path.stem for path in paths} | {path.parent.name for path in paths if path.stem == "__init__"} | set(folders)
    every = allowed(set(project()["project"]["optional-dependencies"]))
    every |= declared(project()["dependency-groups"]["dev"])
    # Who wants them installs them: one does not fit beside the others, one is a tool of `tests/fuzzing` alone, one has
    # an environment of its own, made by its test, and peers of a benchmark have theirs.
    own |= {"datumaro", "atheris", "sagemaker", "albumentations", "cv2", "torch", "torchvision"}
    own |= {"transformers", "ultralytics"}
    missing = {name_of(path): [root for root in undeclared(path, every) if root not in own] for path in paths}
    assert {path: roots for path, roots in missing.items() if roots} == {}


def test_no_extra_of_serving_brings_what_trains_or_schedules() -> None:
    heavy = {"apache-airflow", "apache-beam", "great-expectations", "ml-pipelines-sdk", "mlflow"}
    assert not allowed({"serve"}) & heavy
    assert heavy <= allowed({"stack", "beam"})
