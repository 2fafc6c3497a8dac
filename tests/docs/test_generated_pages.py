"""The generated pages say what the code says, and the rest of the documentation names what is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from docs.generator.files import FILES, FOLDER
from docs.generator.house import House, read_house, sources
from docs.generator.house_picture import house_picture
from docs.generator.markdown import cell, table


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


def environment_variables() -> Iterator[str]:
    """Every string of the sources that is as a whole the name of a variable of ours."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.fullmatch(r"BOXWRIGHT_[A-Z0-9_]+", node.value):
                    yield node.value


def test_an_import_that_goes_down_is_drawn_in_red() -> None:
    house = read_house()
    assert 'class="down"' not in house_picture(house)
    wrong = House(house.parts, house.edges | {("config", "cli")}, house.wings, house.wing_edges)
    assert 'class="down"' in house_picture(wrong)


def test_cells_keep_their_bars_and_angle_brackets() -> None:
    assert cell("a | `b<c>` <d>\n e") == "a \\| `b<c>` &lt;d> e"
    assert table(("x", "y"), [("1", "2")]) == "| x | y |\n| --- | --- |\n| 1 | 2 |"
