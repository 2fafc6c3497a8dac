"""What a run left in its output, as the pages read it: records, or None with the reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from boxwright.errors import StorageError
from boxwright.evaluation.gate_records import GateCheck, GateReport
from boxwright_airflow import results as module
from boxwright_airflow.results import Results

CHECK = GateCheck(name="AP", value=0.5, bound=0.1, passed=True, verdict="passed")


def test_a_file_is_read_once_until_its_task_has_run_again(tmp_path: Path) -> None:
    first = GateReport(checks=(CHECK,))
    first.write(tmp_path)
    assert Results(str(tmp_path), "1").gate() == first
    GateReport(checks=(CHECK, CHECK)).write(tmp_path)
    assert Results(str(tmp_path), "1").gate() == first
    found = Results(str(tmp_path), "2").gate()
    assert found is not None and len(found.checks) == 2


def test_what_is_missing_or_broken_is_named_with_the_advice(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"split": "test", "metrics": {"AP": NaN}}')
    (tmp_path / "gallery.json").write_text(json.dumps([{"picture": -1}]))
    found = Results(str(tmp_path), advice="clear it")
    assert (found.evaluation, found.metrics, found.per_class, found.gate(), found.run()) == (None, {}, {}, None, None)
    assert found.validation() is None and list(found.gallery()) == []
    metrics, gate, run, report, gallery = found.problems
    assert "metrics.json cannot be read" in metrics and "'metrics.AP' is not a finite number" in metrics
    assert "gate.json does not exist" in gate and "run.json does not exist" in run
    assert "validation_report.json cannot be read" in report and "is not a gallery: '0.picture'" in gallery
    assert all(problem.endswith("; clear it") for problem in found.problems)


def test_a_storage_that_does_not_answer_is_asked_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(uri: str, limit: int) -> bytes:
        raise StorageError("S3 did not answer")

    monkeypatch.setattr(module, "read_bytes", silent)
    found = Results(str(tmp_path / "silent"), advice="clear it")
    assert found.gate() is None
    assert found.problems == ["gate.json cannot be read: S3 did not answer; try again when storage answers"]


def test_a_version_of_another_tool_has_none() -> None:
    found = Results("")
    assert found.gate() is None and found.run() is None
    assert found.problems == ["the version's tag boxwright.archive names no archive of a Boxwright run"]


def test_the_records_load_nothing_heavy() -> None:
    code = (
        "import sys, boxwright_airflow.results; "
        "print([name for name in ('tensorflow', 'keras', 'hotcoco', 'matplotlib', 'mlflow', 'tfx') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
