"""Renders a report: one HTML file without scripts, for a mail, a bucket or a browser."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

_LONGEST_TEXT = 400


def render(package: str, template: str, **values: Any) -> bytes:
    """A page from a template of `package`, which may extend and import those of this folder.

    Whatever a template prints is shown as `visible` has it, and escaped.

    Args:
        package: name of the package whose folder `templates` has the template.
        template: name of its file.
        **values: what the template prints; a name that it asks for and does not get is an error.
    """
    return environment(package).get_template(template).render(values).encode()


@cache
def environment(package: str) -> Environment:
    """Jinja2 for the templates of `package`: it escapes in every template and knows the filters of reports."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("boxwright.reporting")]),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"number": number, "counted": counted, "picture": picture, "decimals": decimals, "whole": whole}
    return made


def visible(value: Any) -> Any:
    """`value` as text that is cut where it is long, with nothing in it that moves or hides other text.

    Markup, which only templates and filters make, stays as it is.
    """
    if isinstance(value, Markup):
        return value
    raw = value if isinstance(value, str) else str(value)
    shown = raw if len(raw) <= _LONGEST_TEXT else f"{raw[: _LONGEST_TEXT - 3]}..."
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in shown)


def whole(text: str) -> Markup:
    """Text of this program's own, escaped, but neither cut nor without its line breaks."""
    return escape(text)


def counted(count: int, noun: str) -> str:
    """A number with its noun, in the plural where it is one."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def number(value: Any) -> Any:
    """A count with thousands set apart, `-` where there is none; what is no count stays as it is."""
    return f"{value:,}" if isinstance(value, int) else "-" if value is None else value


def decimals(value: float | None, format_: str = ".3f") -> str:
    """A number in a format of Python's, with three decimals unless another is asked for; `-` where there is none."""
    return "-" if value is None else format(value, format_)


def picture(data: bytes, kind: str = "png") -> Markup:
    """A picture as an address that holds it; base64 has nothing to escape."""
    return Markup(f"data:image/{kind};base64,{b64encode(data).decode()}")  # noqa: S704 - base64
