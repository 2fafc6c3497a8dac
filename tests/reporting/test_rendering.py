"""Templates show everything as harmless text."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import UndefinedError
from markup import Page

from boxwright.reporting import render
from boxwright.reporting.rendering import environment, picture

PACKAGE = "boxwright.dataset.report"
HOSTILE = '"><script>alert(1)</script>'


def shown(template: str, **values: Any) -> str:
    return environment(PACKAGE).from_string(template).render(values)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a<b>&\"'", "a&lt;b&gt;&amp;&#34;&#39;"),
        ("näme 猫", "näme 猫"),
        ("a\u2066b\r", "a\\u2066b\\r"),
        (None, "None"),
        ({"<b>": ["<i>"]}, "{&#39;&lt;b&gt;&#39;: [&#39;&lt;i&gt;&#39;]}"),
    ],
)
def test_what_a_template_prints_is_escaped_and_visible(value: Any, expected: str) -> None:
    assert shown("{{ value }}", value=value) == expected
    assert shown('{% import "macros.html" as m %}{{ m.long(value) }}', value=value) == (
        f'<span class="any">{expected}</span>'
    )


def test_text_is_cut() -> None:
    assert len(shown("{{ value }}", value="a" * 10**6)) == 400
    assert len(shown("{{ value|whole }}", value="a\n" * 300)) == 600


def test_numbers() -> None:
    assert shown("{{ 12345|number }} {{ none|number }} {{ '<'|number }}") == "12,345 - &lt;"
    assert shown("{{ 1|counted('box') }}, {{ 1200|counted('error') }}") == "1 box, 1,200 errors"
    assert shown("{{ 0.25|decimals }} {{ none|decimals }} {{ 0.5|decimals('+.1f') }}") == "0.250 - +0.5"


def test_a_name_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="nothing"):
        shown("{{ nothing }}")
    with pytest.raises(UndefinedError):
        render(PACKAGE, "validation.html")


def test_a_table_escapes_titles_and_cells_and_marks_numbers() -> None:
    template = '{% import "macros.html" as m %}{{ m.table(titles, rows, numbers) }}'
    page = Page(shown(template, titles=["Name", HOSTILE], rows=[[HOSTILE, 3], ["", 4]], numbers=[HOSTILE]))
    assert set(page.tags) == {"table", "thead", "tbody", "tr", "th", "td"}
    assert page.values("data-label") == ["Name", HOSTILE] * 2 and page.values("class") == ["cards"] + ["number"] * 3
    assert page.text.split() == ["Name", *HOSTILE.split(), *HOSTILE.split(), "3", "4"] or HOSTILE in page.text


def test_a_table_s_cells_can_be_what_the_template_makes_of_a_row() -> None:
    template = (
        '{% import "macros.html" as m %}{% call(row, title) m.table(["A", "B"], rows) %}\n'
        '{% if title == "A" %}<code>{{ row.a }}</code>{% endif %}\n{% endcall %}'
    )
    text = shown(template, rows=[{"a": HOSTILE}])
    assert '<td data-label="B"></td>' in text, "an empty cell is empty, for `td:empty`"
    assert "<code>&#34;&gt;&lt;script&gt;" in text and "<script" not in text


def test_a_picture_is_an_address() -> None:
    assert shown('<img src="{{ data|picture }}">', data=b"\x89PNG") == '<img src="data:image/png;base64,iVBORw==">'
    assert (
        picture(b"\xff" * 900, "jpeg").startswith("data:image/jpeg;base64,////") and len(picture(b"\xff" * 900)) > 1200
    )
