"""The places of this machine's state, where nothing names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxwright.config.settings import Settings, _default_home

CHECKOUT = Path(__file__).resolve().parents[2]


def test_a_checkout_keeps_its_state_in_its_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOXWRIGHT_HOME", raising=False)
    assert Settings.from_environment().home == CHECKOUT / "var"


def test_an_installed_package_keeps_its_state_with_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _default_home(tmp_path / "lib" / "python3.11") == tmp_path / ".boxwright"
