"""The sample dataset of the stack: drawn on this machine, and brought into the bucket once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from boxwright.config import ANNOTATIONS_FILE, Settings
from boxwright.stack.environment import SAMPLE_IMAGES, Stack, sample_uri
from boxwright.stack.uploading import stack_variables, upload_dataset
from boxwright.storage import exists, join

SEED = 0
# Of its files the last that is uploaded.
_LAST = ("validation", ANNOTATIONS_FILE)


def sample_folder(settings: Settings, images: int) -> Path:
    """The folder with a sample of so many images in all splits together; drawn if it is not there."""
    from boxwright.dataset.sample import generate_sample

    folder = settings.home / "demo" / f"sample-{images}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        generate_sample(folder, images=images, seed=SEED)
    return folder


def place_sample(settings: Settings, stack: Stack, on_upload: Callable[[str], None]) -> str:
    """Brings the sample into the bucket of a stack that runs, unless it is there.

    Args:
        settings: names the home.
        stack: which runs.
        on_upload: called with the URI before anything is drawn or uploaded.

    Returns:
        Its URI; its splits lie below.
    """
    uri = sample_uri(SAMPLE_IMAGES)
    with stack_variables(stack):
        if not exists(join(uri, *_LAST)):
            on_upload(uri)
            upload_dataset(sample_folder(settings, SAMPLE_IMAGES), uri)
    return uri
