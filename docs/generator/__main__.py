"""Writes every generated file below `docs/`; what is up to date is left alone."""

from __future__ import annotations

from docs.generator.files import write_all

for path in write_all():
    print(f"docs: wrote {path}")
