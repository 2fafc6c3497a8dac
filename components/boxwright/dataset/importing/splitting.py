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

from boxwright.dataset.importing.account import Account
from boxwright.dataset.importing.naming import SPLITS
from boxwright.dataset.importing.records import shown
from boxwright.dataset.importing.writing import ReadyImage
from boxwright.errors import UsageError

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


def _groups(images: Sequence[ReadyImage], group_by: str | None, account: Account) -> list[list[int]]:
    leaders = list(range(len(images)))

    def leader(index: int) -> int:
        while leaders[index] != index:
            leaders[index] = leaders[leaders[index]]
            index = leaders[index]
        return index

    for one, other in _same_name(images, group_by):
        leaders[leader(other)] = leader(one)
    for one, other in near_pairs(np.array([difference_hash(image) for image in images], np.uint64)):
        account.noted(
            "near-duplicates, kept in one split", f"{shown(_name(images[one]))} and {shown(_name(images[other]))}"
        )
        leaders[leader(other)] = leader(one)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(images)):
        groups[leader(index)].append(index)
    return list(groups.values())


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


def difference_hash(image: ReadyImage) -> int:
    """64 bits of a picture as it is stored; 0 where it cannot be decoded, or is flat."""
    from PIL import Image

    from boxwright.images import open_image

    try:
        data = image.data or (image.image.content and image.image.content())
        if data is None:
            assert image.image.path is not None
            data = image.image.path.read_bytes()
        with open_image(io.BytesIO(data)) as picture:
            picture.draft("L", (64, 64))  # a JPEG is decoded small, which takes a fraction of the time
            small = np.asarray(picture.convert("L").resize((_COLUMNS, _ROWS), Image.Resampling.BOX), np.int16)
    except Exception:  # Pillow raises many types on broken bytes; validation names them
        return 0
    bits = (np.diff(small, axis=1) > 0).reshape(-1)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_pairs(hashes: np.ndarray) -> Iterable[tuple[int, int]]:
    """Pairs of indices whose hashes differ in at most `NEAR` bits; a flat picture's hash, 0, is like no other.

    Two hashes that differ in at most 4 bits are equal in one of five parts, and only such are compared.
    """
    seen: set[tuple[int, int]] = set()
    for shift, bits in ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12)):
        buckets: dict[int, list[int]] = defaultdict(list)
        for index, key in enumerate(((hashes >> np.uint64(shift)) & np.uint64((1 << bits) - 1)).tolist()):
            if hashes[index]:
                buckets[key].append(index)
        for members in buckets.values():
            yield from _near_in(hashes, members, seen)


def _near_in(hashes: np.ndarray, members: list[int], seen: set[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    own = hashes[members]
    for position, index in enumerate(members[:-1]):
        distances = np.bitwise_count(own[position + 1 :] ^ own[position])
        for offset in np.flatnonzero(distances <= NEAR).tolist():
            pair = (index, members[position + 1 + offset])
            if pair not in seen:
                seen.add(pair)
                yield pair
