"""Draws training, validation and test images of a set without splits; what looks alike stays together.

Near-duplicates are pictures whose difference hash (64 bits: whether each pixel of a 9 x 8 gray picture is darker than
its right neighbour) differs in few bits. Frames of one video, or pictures of one part, are told by a pattern in their
names.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from boxwright.dataset.importing.output.naming import SPLITS
from boxwright.dataset.importing.output.writing import ReadyImage
from boxwright.dataset.importing.source import Account, shown
from boxwright.errors import UsageError
from boxwright.storage import explain_os_error

NEAR = 4  # bits of 64 by which near-duplicates differ at most
_ROWS, _COLUMNS = 8, 9


def parse_shares(text: str) -> tuple[float, ...]:
    """Shares of training, validation and, if there is a third, test from text such as "0.8,0.1,0.1".

    Raises:
        UsageError: they are not two or three numbers above 0 whose sum is 1.
    """
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if len(shares) not in (2, 3) or not all(0 < share < 1 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        raise UsageError(f"--split {text!a}: expected two or three shares whose sum is 1, as 0.8,0.1,0.1")
    return shares


def draw_splits(
    images: Sequence[ReadyImage], shares: Sequence[float], group_by: str | None, account: Account
) -> dict[str, list[ReadyImage]]:
    """The images of each split, in their order; the same images give the same splits.

    Args:
        images: of the whole set.
        shares: of training, validation and test.
        group_by: a regular expression; images with the same text in its first group, or in all of it, stay together.
        account: receives which images are kept together for their looks.

    Raises:
        UsageError: the pattern is none, or there are fewer groups than splits.
    """
    groups = _groups(images, group_by, account)
    if len(groups) < len(shares):
        raise UsageError(
            f"--split: {len(groups)} groups of images for {len(shares)} splits; give fewer splits, or more images"
        )
    order = sorted(groups, key=lambda group: hashlib.sha256(_name(images[group[0]]).encode()).digest())
    wanted = [share * len(images) for share in shares]
    counts = [0] * len(shares)
    chosen: dict[int, int] = {}
    for position, group in enumerate(order):
        left = len(order) - position
        empty = [number for number, count in enumerate(counts) if not count]
        # Where as many groups are left as splits without an image, each gets one.
        among = empty if len(empty) == left else range(len(shares))
        split = max(among, key=lambda number: wanted[number] - counts[number])
        counts[split] += len(group)
        chosen |= dict.fromkeys(group, split)
    found: dict[str, list[ReadyImage]] = {SPLITS[number]: [] for number in range(len(shares))}
    for index, image in enumerate(images):
        found[SPLITS[chosen[index]]].append(image)
    return found


def _name(image: ReadyImage) -> str:
    return image.image.out_name


class _Union:
    """Indices that belong together, as far as pairs of them say."""

    def __init__(self, count: int) -> None:
        self._leaders = list(range(count))

    def join(self, pairs: Iterable[tuple[int, int]]) -> None:
        for one, other in pairs:
            self._leaders[self._leader(other)] = self._leader(one)

    def groups(self) -> list[list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for index in range(len(self._leaders)):
            found[self._leader(index)].append(index)
        return list(found.values())

    def _leader(self, index: int) -> int:
        while self._leaders[index] != index:
            self._leaders[index] = self._leaders[self._leaders[index]]
            index = self._leaders[index]
        return index


def _groups(images: Sequence[ReadyImage], group_by: str | None, account: Account) -> list[list[int]]:
    union = _Union(len(images))
    same_name = list(_same_name(images, group_by))
    union.join(alike(images))
    for group in union.groups():
        if len(group) > 1:
            first = " and ".join(shown(_name(images[index])) for index in group[:2])
            more = f" and {len(group) - 2} more" if len(group) > 2 else ""
            account.noted("near-duplicates, kept in one split", f"{first}{more}")
    union.join(same_name)
    return union.groups()


def alike(images: Sequence[ReadyImage]) -> Iterable[tuple[int, int]]:
    """Pairs of indices of the same file or of near-duplicates, enough of them to tell which belong together."""
    first: dict[bytes | int, int] = {}
    for index, image in enumerate(images):
        for mark in _marks(image):
            if (earlier := first.setdefault(mark, index)) != index:
                yield earlier, index
    hashes = np.array([mark for mark in first if isinstance(mark, int)], np.uint64)
    for one, other in near_pairs(hashes):
        yield first[int(hashes[one])], first[int(hashes[other])]


def _same_name(images: Sequence[ReadyImage], group_by: str | None) -> Iterable[tuple[int, int]]:
    if group_by is None:
        return
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise UsageError(f"--group-by {group_by!a} is not a regular expression: {error}") from None
    first: dict[str, int] = {}
    for index, image in enumerate(images):
        if match := pattern.search(_name(image)):
            key = match[1] if pattern.groups and match[1] is not None else match[0]
            if (earlier := first.setdefault(key, index)) != index:
                yield earlier, index
    if not first:
        raise UsageError(f"--group-by {group_by!a} fits the name of no image, such as {shown(_name(images[0]))}")


def _marks(image: ReadyImage) -> Iterable[bytes | int]:
    """The digest of a picture's bytes, and its difference hash where it has one."""
    try:
        data = image.data or (image.image.content and image.image.content())
        if data is None:
            assert image.image.path is not None
            data = image.image.path.read_bytes()
    except OSError as error:
        raise explain_os_error(error, image.image.where) from error
    yield hashlib.sha256(data).digest()
    if (found := difference_hash(data)) is not None:
        yield found


def difference_hash(data: bytes) -> int | None:
    """64 bits of a picture as it is stored; None where it cannot be decoded, or is flat and so like any other."""
    from PIL import Image

    from boxwright.images import open_image

    try:
        with open_image(io.BytesIO(data)) as picture:
            picture.draft("L", (64, 64))  # a JPEG is decoded small, which takes a fraction of the time
            small = np.asarray(picture.convert("L").resize((_COLUMNS, _ROWS), Image.Resampling.BOX), np.int16)
    except Exception:  # Pillow raises many types on broken bytes; validation names them
        return None
    bits = (np.diff(small, axis=1) > 0).reshape(-1)
    return int.from_bytes(np.packbits(bits).tobytes(), "big") or None


def near_pairs(hashes: np.ndarray) -> Iterable[tuple[int, int]]:
    """Pairs of indices of different hashes that differ in at most `NEAR` bits, enough to tell which belong together.

    Two hashes that differ in at most 4 bits are equal in one of five parts, and only such are compared.
    """
    for shift, bits in ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12)):
        buckets: dict[int, list[int]] = defaultdict(list)
        for index, key in enumerate(((hashes >> np.uint64(shift)) & np.uint64((1 << bits) - 1)).tolist()):
            buckets[key].append(index)
        for members in buckets.values():
            yield from _near_in(hashes, np.array(members))


def _near_in(hashes: np.ndarray, remaining: np.ndarray) -> Iterable[tuple[int, int]]:
    """A pair for each hash that is near one which was found before: as many as hashes, not as pairs."""
    while len(remaining) > 1:
        centres, remaining = [int(remaining[0])], remaining[1:]
        while centres and len(remaining):
            centre = centres.pop()
            near = np.bitwise_count(hashes[remaining] ^ hashes[centre]) <= NEAR
            found = remaining[near].tolist()
            remaining = remaining[~near]
            centres += found
            yield from ((centre, other) for other in found)
