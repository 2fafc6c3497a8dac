"""The batch-inference DAG in a real Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batch_run import detect, put_images

if TYPE_CHECKING:
    from live.conftest import LiveStack


def test_a_prefix_becomes_shards_and_a_manifest(stack: LiveStack, tmp_path: Path) -> None:
    put_images(stack, tmp_path)
    detect(stack, "live-batch")
