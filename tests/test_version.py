"""The version that a checkout has is the one that a wheel of it would get."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import boxwright
from boxwright.version import REPOSITORY, version_of

PYPROJECT = (REPOSITORY / "pyproject.toml").read_text()


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org")
    done = subprocess.run(["git", "-C", folder, *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, content: str) -> None:
    (folder / "code.py").write_text(content)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", content)


def built(folder: Path) -> str:
    """What setuptools-scm writes into a wheel."""
    command = [sys.executable, "-m", "setuptools_scm"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    commit(folder, "one")
    return folder


def test_every_commit_has_its_own_version(checkout: Path) -> None:
    first = version_of(checkout)
    assert first == built(checkout)
    assert first is not None
    assert first.startswith("0.2.0.dev1+g")
    commit(checkout, "two")
    second = version_of(checkout)
    assert second == built(checkout)
    assert second is not None
    assert second.startswith("0.2.0.dev2+g")


def test_a_changed_tree_is_marked(checkout: Path) -> None:
    clean = version_of(checkout)
    (checkout / "code.py").write_text("changed")
    assert version_of(checkout) == built(checkout)
    assert f"{version_of(checkout)}".startswith(f"{clean}.d")


def test_tags_are_versions(checkout: Path) -> None:
    git(checkout, "tag", "v1.4.9")
    git(checkout, "tag", "nothing-of-ours")
    assert version_of(checkout) == built(checkout) == "1.4.9"
    commit(checkout, "two")
    assert version_of(checkout) == built(checkout)
    assert f"{version_of(checkout)}".startswith("1.4.10.dev1+g")


def test_a_changed_tree_at_a_tag_is_not_that_version(checkout: Path) -> None:
    git(checkout, "tag", "v1.4.9")
    (checkout / "code.py").write_text("changed")
    assert version_of(checkout) == built(checkout)
    assert f"{version_of(checkout)}".startswith("1.4.10.dev0+g")


def test_a_worktree_is_a_checkout_too(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "worktree", "add", "--quiet", "--detach", str(tmp_path / "other"))
    assert version_of(tmp_path / "other") == version_of(checkout)


def test_a_copy_in_another_repository_has_not_its_version(checkout: Path) -> None:
    copy = checkout / "vendored"
    copy.mkdir()
    (copy / "pyproject.toml").write_text(PYPROJECT)
    assert version_of(copy) is None


def test_another_project_is_not_asked(checkout: Path) -> None:
    (checkout / "pyproject.toml").write_text(PYPROJECT.replace('name = "boxwright"', 'name = "other"'))
    assert version_of(checkout) is None


def test_git_does_not_take_the_repository_of_the_environment(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = version_of(checkout)
    other = tmp_path / "another"
    other.mkdir()
    git(other, "init", "--quiet")
    commit(other, "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert version_of(checkout) == expected


def test_without_git_there_is_still_a_version(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert version_of(checkout) is None


def test_a_repository_without_commits_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    assert version_of(tmp_path) is None


def test_a_plain_copy_tells_its_base_version(tmp_path: Path) -> None:
    package = tmp_path / "components" / "boxwright"
    package.mkdir(parents=True)
    for name in ("__init__.py", "version.py"):
        shutil.copy(REPOSITORY / "components" / "boxwright" / name, package)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    # Without site-packages: it is not installed either.
    code = f"import sys; sys.path.insert(0, {str(package.parent)!r}); import boxwright; print(boxwright.__version__)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0.2.0.dev0"


def test_the_package_asks_nobody_until_it_is_asked() -> None:
    code = "import sys, boxwright; assert 'subprocess' not in sys.modules; print(boxwright.__version__)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(REPOSITORY / "components"), "PATH": "/usr/bin:/bin"},
    )
    assert done.stdout.strip() == boxwright.__version__


def test_other_names_are_still_missing() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        boxwright.nonsense  # noqa: B018
