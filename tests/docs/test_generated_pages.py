"""The generated pages say what the code says, and the rest of the documentation names what is there."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from boxwright.cli.app import app
from docs.generator.files import FILES, FOLDER
from docs.generator.house import PACKAGE, REPOSITORY, House, parse, read_house, sources
from docs.generator.house_picture import house_picture
from docs.generator.markdown import cell, table

HAND_WRITTEN = sorted(path for path in FOLDER.rglob("*.md") if str(path.relative_to(FOLDER)) not in FILES)


@pytest.mark.parametrize("name", FILES)
def test_generated_files_are_what_the_code_gives(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8")
    assert text == FILES[name](), f"docs/{name} is behind the code: run `make docs` and commit what it writes"


def test_every_environment_variable_is_in_the_operations() -> None:
    told = (FOLDER / "operations.md").read_text("utf-8")
    for name in sorted(set(environment_variables())):
        # A name that ends in a line is the beginning of several, as BOXWRIGHT_PORT_.
        beginning = name.rpartition("_")[0] if name.endswith("_") else name
        suffix = f"`_{name.rpartition('_')[2]}`"
        assert beginning in told or suffix in told, f"{name} is named by the code; docs/operations.md does not name it"


def test_every_extra_is_in_the_operations() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    told = (FOLDER / "operations.md").read_text("utf-8")
    assert [extra for extra in project["optional-dependencies"] if f"| `{extra}` |" not in told] == []


def environment_variables() -> Iterator[str]:
    """Every string of the sources that is as a whole the name of a variable of ours."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.fullmatch(r"BOXWRIGHT_[A-Z0-9_]+", node.value):
                    yield node.value


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_of_pages_outside_of_the_site_lead_to_files(name: str) -> None:
    text = (REPOSITORY / name).read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")]
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


@pytest.mark.parametrize("path", HAND_WRITTEN, ids=lambda path: path.name)
def test_code_that_pages_name_is_there(path: Path) -> None:
    """`folder/module.py` and `folder/module.py::name`, from the package's folder or from the root."""
    missing = []
    for file, name in re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", path.read_text("utf-8")):
        found = next((root / file for root in (PACKAGE, REPOSITORY) if (root / file).is_file()), None)
        if found is None or (name and name not in defined(found)):
            missing.append(f"{file}::{name}")
    assert missing == [], f"{path.name} names code that is not there"


def defined(path: Path) -> set[str]:
    body = parse(path).body
    names = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    targets = [
        node.targets if isinstance(node, ast.Assign) else [node.target]
        for node in body
        if isinstance(node, ast.Assign | ast.AnnAssign)
    ]
    return names | {target.id for some in targets for target in some if isinstance(target, ast.Name)}


def test_the_readme_is_short() -> None:
    assert (REPOSITORY / "README.md").stat().st_size <= 12_000


def test_the_readme_names_every_command_and_the_index_leads_to_every_page() -> None:
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    named = set(re.findall(r"`(?:boxwright )?([a-z]+)", readme))
    assert set(typer.main.get_command(app).commands) - named == set()  # type: ignore[attr-defined]
    index = (REPOSITORY / "docs" / "index.md").read_text("utf-8")
    pages = [path.name for path in (REPOSITORY / "docs").glob("*.md") if path.name != "index.md"]
    assert [name for name in pages if f"]({name})" not in index] == []


def test_an_import_that_goes_down_is_drawn_in_red() -> None:
    house = read_house()
    assert 'class="down"' not in house_picture(house)
    wrong = House(house.parts, house.edges | {("config", "cli")}, house.wings, house.wing_edges)
    assert 'class="down"' in house_picture(wrong)


def test_cells_keep_their_bars_and_angle_brackets() -> None:
    assert cell("a | `b<c>` <d>\n e") == "a \\| `b<c>` &lt;d> e"
    assert table(("x", "y"), [("1", "2")]) == "| x | y |\n| --- | --- |\n| 1 | 2 |"
