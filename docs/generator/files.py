"""The generated files by name: a page a subject, and the pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.generator.commands import commands_page
from docs.generator.errors import errors_page
from docs.generator.house import read_house
from docs.generator.house_page import house_page
from docs.generator.house_picture import house_picture, wings_picture
from docs.generator.http_api import http_page
from docs.generator.models import models_page
from docs.generator.rules import rules_page
from docs.generator.settings import settings_page
from docs.generator.steps import steps_page, steps_picture

FOLDER = Path(__file__).resolve().parents[1]

FILES: Mapping[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/commands.md": commands_page,
    "reference/rules.md": rules_page,
    "reference/models.md": models_page,
    "reference/http.md": http_page,
    "reference/errors.md": errors_page,
    "reference/imports.md": lambda: house_page(read_house()),
    "reference/steps.md": steps_page,
    "images/pipeline.svg": steps_picture,
    "images/imports.svg": lambda: house_picture(read_house()),
    "images/dataset.svg": lambda: wings_picture(read_house()),
}


def write_all() -> list[Path]:
    """Writes each generated file that differs from what the code gives; returns those that it wrote."""
    written = []
    for name, make in FILES.items():
        path, text = FOLDER / name, make()
        if not path.is_file() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            written.append(path)
    return written
