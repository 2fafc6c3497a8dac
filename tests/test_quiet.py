"""What of libraries' lines reaches people: in processes of their own, as some are written while a library is loaded."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from boxwright import quiet

_FIRST = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR"
_NOISE = "I0000 00:00:1795.1 7 cudart_stub.cc:31] Could not find cuda drivers"
_LOADING = """
import logging, os, sys, types
logging.basicConfig(format="%(name)s: %(message)s", level="INFO")  # as a task of Airflow's has it
from boxwright import quiet
quiet.quieten()
logging.getLogger("botocore.credentials").info("Found credentials in environment variables.")
import tensorflow
quiet.quieten_loggers(["library"])
logging.getLogger("absl").error("Execution 9 failed.")
logging.getLogger("library").info("one of 200 lines")
logging.getLogger("library").warning("worth reading")
"""


@pytest.fixture
def heard(tmp_path, monkeypatch):
    """What a process writes to standard error that loads a TensorFlow of ours, which says what the real one says."""
    (tmp_path / "tensorflow.py").write_text(
        "import logging, os\n"
        f"os.write(2, b'{_FIRST}\\n{_NOISE}\\n')\n"
        "os.write(2, b'E0000 cuda_dnn.cc: no memory\\n')\n"
        "logging.getLogger('absl').setLevel('DEBUG')\n"
        "logging.getLogger('library').setLevel('INFO')\n"
    )
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])

    def run(program: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": paths, **environment},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        return done.stderr

    return run


def test_chatter_is_held_back_and_faults_are_not(heard) -> None:
    assert heard(_LOADING) == "E0000 cuda_dnn.cc: no memory\nlibrary: worth reading\n"


def test_what_fails_while_it_is_loaded_is_seen(heard, tmp_path) -> None:
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'libcudart is broken\\n')\nraise OSError('no')\n")
    said = heard(_LOADING)
    assert said.startswith("libcudart is broken\nTraceback") and said.endswith("OSError: no\n")


_LEAN = """
import sys
from boxwright import quiet
quiet.quieten(lean={lean})
import tensorflow
assert tensorflow.PANDAS == {has_pandas}, tensorflow.PANDAS
import pandas
"""


@pytest.mark.parametrize("lean", [True, False])
def test_what_keras_takes_where_it_is_there_is_left_out_in_processes_of_our_own(heard, tmp_path, lean) -> None:
    (tmp_path / "pandas.py").write_text("")
    (tmp_path / "tensorflow.py").write_text(
        "try:\n    import pandas\n    PANDAS = True\nexcept ImportError:\n    PANDAS = False\n"
    )
    assert heard(_LEAN.format(lean=lean, has_pandas=not lean)) == ""


def test_verbose_keeps_every_line(heard) -> None:
    said = heard(_LOADING, BOXWRIGHT_VERBOSE="1")
    assert _NOISE in said and "Execution 9 failed." in said and "library: worth reading" in said


def test_the_registrations_of_an_import_are_no_lines(caplog, monkeypatch) -> None:
    caplog.set_level(logging.DEBUG)
    library = logging.getLogger("library.registry")
    with quiet.quiet_import():
        library.info("Skipping registering function")
        library.warning("old")
    library.info("and then")
    monkeypatch.setenv(quiet.VERBOSE, "1")
    with quiet.quiet_import():
        library.info("asked for")
    assert [record.getMessage() for record in caplog.records] == ["old", "and then", "asked for"]
