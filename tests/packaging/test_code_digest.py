"""Two commits that change training code are two versions of it; a commit that changes a page is none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from boxwright.packaging.code_digest import _SHOWS, MODEL_CODE, PACKAGE, code_digest, digest_of

# What neither trains nor measures nor packs a model.
ELSEWHERE = {
    *(
        "__init__.py",
        "__main__.py",
        "errors.py",
        "postgresql.py",
        "py.typed",
        "quiet.py",
        "tensorflow_import.py",
        "version.py",
    ),
    *("airflow_api", "api", "cli", "config", "dataset/importing", "dataset/report", "dataset/sample"),
    *("doctor", "exporting", "metadata", "tuning"),
    *("registry", "reporting", "sagemaker", "serving", "stack", "storage"),
}


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org")
    done = subprocess.run(["git", "-C", folder, *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, place: str) -> None:
    path = folder / "boxwright" / place
    path.write_text(path.read_text() + "\nCHANGED = True\n")
    git(folder, "commit", "--quiet", "--all", "--message", place)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    shutil.copytree(PACKAGE, folder / "boxwright", ignore=shutil.ignore_patterns("__pycache__"))
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


def test_it_is_of_the_code_that_runs(repository: Path) -> None:
    assert code_digest() == digest_of(PACKAGE) == digest_of(repository / "boxwright")


def test_each_commit_that_changes_training_is_another_version(repository: Path) -> None:
    seen = {digest_of(repository / "boxwright")}
    for place in (
        "training/optimizer.py",
        "training/optimizer.py",
        "model/postprocess.py",
        "dataset/examples/split.py",
    ):
        commit(repository, place)
        seen.add(digest_of(repository / "boxwright"))
    assert len(seen) == 5
    git(repository, "checkout", "--quiet", "HEAD~4")
    assert digest_of(repository / "boxwright") == digest_of(PACKAGE)


def test_a_change_that_is_not_committed_counts(repository: Path) -> None:
    path = repository / "boxwright" / "training" / "optimizer.py"
    path.write_text(path.read_text().replace("import", "import ", 1))
    assert digest_of(repository / "boxwright") != code_digest()
    git(repository, "checkout", "--quiet", ".")
    (repository / "boxwright" / "training" / "new.py").write_text("")
    assert digest_of(repository / "boxwright") != code_digest()


@pytest.mark.parametrize("place", ["serving/http/app.py", "cli/app.py", "evaluation/report/page.py", "version.py"])
def test_other_code_does_not(repository: Path, place: str) -> None:
    commit(repository, place)
    assert digest_of(repository / "boxwright") == code_digest()


def test_compiled_files_do_not(repository: Path) -> None:
    cache = repository / "boxwright" / "training" / "__pycache__"
    cache.mkdir()
    (cache / "optimizer.cpython-311.pyc").write_bytes(b"compiled")
    assert digest_of(repository / "boxwright") == code_digest()


def test_every_part_is_decided_on() -> None:
    """A new folder either can change a model (`MODEL_CODE`) or is named here."""
    wings = {f"dataset/{path.name}" for path in (PACKAGE / "dataset").iterdir() if path.is_dir()}
    parts = {path.name for path in PACKAGE.iterdir() if path.name != "dataset"} | wings
    parts -= {"__pycache__", "dataset/__pycache__"}
    assert parts == set(MODEL_CODE) | ELSEWHERE
    assert not set(MODEL_CODE) & ELSEWHERE
    assert all((PACKAGE / place).is_dir() for place in (*MODEL_CODE, *_SHOWS))
