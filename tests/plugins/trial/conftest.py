"""A model to try out."""

from __future__ import annotations

from pathlib import Path

import pytest
from finder import export_finder, write_facts


@pytest.fixture(scope="session")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tried")
    export_finder(folder)
    write_facts(folder)
    return folder
