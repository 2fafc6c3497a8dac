"""A folder of results has one run, and a run has one folder."""

from __future__ import annotations

import string
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxwright.config.run_info import new_run
from boxwright.packaging.outputs import run_folder

LIKE = "manual__2026-01-02T03{}04{}05{}00{}00"


@pytest.mark.parametrize(
    ("run_id", "folder"),
    [
        ("manual__2026-01-02T03:04:05+00:00", "manual__2026-01-02T03-04-05-00-00"),
        ("scheduled__2026-01-02T03:04:05.678901+00:00", "scheduled__2026-01-02T03-04-05.678901-00-00"),
        ("backfill__2026-01-02T03:04:05+00:00_x7Ab", "backfill__2026-01-02T03-04-05-00-00_x7Ab"),
        ("cli__2026-01-02T03-04-05-3fa9c1", "cli__2026-01-02T03-04-05-3fa9c1"),
        ("nightly", "nightly"),
    ],
)
def test_usual_ids_keep_the_folders_that_they_have_always_had(run_id, folder):
    assert run_folder(run_id) == folder


def test_a_new_run_of_the_command_line_has_its_own_name():
    run_id = new_run().run_id
    assert run_folder(run_id) == run_id


def test_ids_that_differ_in_marks_only_have_different_folders():
    marks = (":", "+", "-", "~", "/", " ")
    ids = [LIKE.format(*(four)) for four in {(a, b, c, d) for a in marks for b in marks for c in marks for d in marks}]
    assert len({run_folder(run_id) for run_id in ids}) == len(ids) == len(marks) ** 4


@given(st.lists(st.text("aT0-:+.1~/", max_size=12), unique=True, max_size=20))
def test_no_two_ids_share_a_folder(ids):
    for one, other in combinations(ids, 2):
        assert run_folder(one) != run_folder(other)


@given(st.text(max_size=300))
def test_a_folder_is_one_name_below_the_output_and_its_own(run_id):
    folder = run_folder(run_id)
    assert set(folder) <= set(string.ascii_letters + string.digits + "_.-") and folder.strip(".")
    assert run_folder(run_id) == folder
    assert folder == run_id or run_folder(folder) != folder, (
        "nobody can name a run so that it has the folder of another"
    )


def test_the_longest_id_that_airflow_takes_is_a_name_that_disks_take():
    assert len(run_folder("x:" * 125)) < 255
