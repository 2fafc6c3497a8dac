"""Datasets of this machine brought into a bucket: the local stack's, or any other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from boxwright.config import Settings
from boxwright.errors import UsageError, some
from boxwright.stack import manager
from boxwright.stack.environment import BUCKET, Stack, find_stack, stack_environment
from boxwright.storage import Progress, UploadStats, is_leftover, parse_uri, upload_missing


@contextmanager
def stack_variables(stack: Stack) -> Iterator[None]:
    """Lets this process use the stack's S3 as well, as long as it lasts."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(stack_environment(stack, before))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def upload_dataset(folder: Path, uri: str, on_progress: Progress | None = None) -> UploadStats:
    """Uploads every file of a folder to the same key below `uri`, except hidden ones.

    JSON files come last, so that where the annotations are, all images are. A call that was killed goes on where it
    ended; files that are there with the same content are not sent again.

    Raises:
        UsageError: there is no such folder, no file in it, or a link in it to a folder or to nowhere.
        StorageError: the bucket did not take a file, or has other bytes than those that were sent.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; expected one with images/ and annotations.json, or with splits")
    names, _ = files_of(folder)
    if not names:
        raise UsageError(f"{folder}: there is no file in it; expected images/ and annotations.json, or the splits")
    return upload_missing(folder, uri, sorted(names, key=lambda name: (name.endswith(".json"), name)), on_progress)


def files_of(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the files below a folder, with `/`, in order: those of the dataset, and the hidden ones.

    A hidden file may hold a key, and stays behind. What a system left behind, as macOS' `._*`, is in neither list.

    Raises:
        UsageError: a link leads nowhere or to a folder. Of a dataset of somebody else's it could be a private one.
    """
    dataset: list[str] = []
    hidden: list[str] = []
    refused: list[str] = []
    for path in sorted(folder.rglob("*")):
        name = PurePosixPath(path.relative_to(folder).as_posix())
        if any(map(is_leftover, name.parts)):
            continue
        if path.is_file():
            is_hidden = any(part.startswith(".") for part in name.parts)
            (hidden if is_hidden else dataset).append(str(name))
        elif path.is_symlink():
            refused.append(str(name))
    if refused:
        raise UsageError(
            f"{folder}: {some(refused)}: a link to a folder, which is not gone into, or to nowhere; put files in its "
            "place, or take it out"
        )
    return dataset, hidden


@contextmanager
def reaching(uri: str, settings: Settings) -> Iterator[None]:
    """Lets this process reach the bucket of a URI: the local stack's own through the stack, others as they are.

    `AWS_ENDPOINT_URL`, where it is set, is where all buckets are.

    Raises:
        UsageError: it is the stack's bucket, and the stack does not run.
    """
    if parse_uri(uri).bucket != BUCKET or os.environ.get("AWS_ENDPOINT_URL"):
        yield
        return
    if not manager.is_running(settings):
        raise UsageError(f"{uri} is the bucket of the local stack, which does not run; start it by `boxwright up`")
    with stack_variables(find_stack(settings)):
        yield


def default_uri(folder: Path) -> str:
    """The place of a dataset in the stack's bucket unless a URI is given."""
    return f"s3://{BUCKET}/datasets/{folder.name}"
