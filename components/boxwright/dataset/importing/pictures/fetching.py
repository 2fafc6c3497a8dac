"""Brings the images that annotations name by `s3://` addresses, as Ground Truth's do, from where they are."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from boxwright.dataset.importing.source import Account, SourceImage
from boxwright.errors import DataError, UsageError
from boxwright.storage import download_file

_ADDRESS = "s3://"
_AT_ONCE = 16
_log = logging.getLogger("boxwright")


def fetch_images(images: Iterable[SourceImage], folder: Path, account: Account) -> list[SourceImage]:
    """Fetches the images that have an `s3://` address for a name, each address once, and sets `path` and `out_name`.

    They are called by their keys, without the folders that all of them share.

    Args:
        images: of a set that was read; others than those with an address are left as they are.
        folder: existing and empty, to put them into.
        account: receives those that are not there.

    Returns:
        The images without those that are not there.

    Raises:
        StorageError: S3 does not answer, or refuses.
    """
    images = list(images)
    addresses = dict.fromkeys(image.name for image in images if image.name.startswith(_ADDRESS))
    wanted = {address: folder / str(number) for number, address in enumerate(addresses)}
    _log.info("fetching %d images from S3", len(wanted))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        faults = dict(zip(wanted, pool.map(_fault, wanted, wanted.values()), strict=True))
    names = _names([address for address in wanted if not faults[address]])
    kept = []
    for image in images:
        if fault := faults.get(image.name):
            account.broken(fault, image.where, images=1, boxes=len(image.objects))
            continue
        if image.name in wanted:
            image.path, image.out_name = wanted[image.name], names[image.name]
        kept.append(image)
    return kept


def _fault(address: str, path: Path) -> str:
    """Fetches one image; why it cannot be had, or nothing."""
    try:
        download_file(address, path)
    except (DataError, UsageError) as error:
        return str(error)
    return ""


def _names(addresses: list[str]) -> dict[str, str]:
    """The addresses' ends, from where they differ in folders."""
    paths = {address: PurePosixPath(address.removeprefix(_ADDRESS)) for address in addresses}
    shared = posixpath.commonpath([path.parent for path in paths.values()]) if paths else ""
    return {address: str(path.relative_to(shared)) for address, path in paths.items()}
