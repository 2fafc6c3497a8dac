from __future__ import annotations

import pytest

from boxwright_airflow.tuning import trials_at_a_time

VARIABLE = "AIRFLOW_VAR_BOXWRIGHT_TUNING_PARALLEL"


def test_there_are_as_many_as_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert trials_at_a_time() == 2
    monkeypatch.setenv(VARIABLE, "12")
    assert trials_at_a_time() == 12


@pytest.mark.parametrize("wrong", ["two", "0", "-1", "2.5", "99999"])
def test_a_wrong_one_says_what_is_expected(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, wrong)
    with pytest.raises(ValueError, match=f"Variable boxwright_tuning_parallel is '{wrong}'; expected a whole number"):
        trials_at_a_time()
