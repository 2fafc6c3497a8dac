"""Converts a set of another format: reads it, finds and measures its images, and writes it, with an account of all."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from boxwright.dataset.importing.archives import opened
from boxwright.dataset.importing.output import (
    SPLITS,
    ReadyImage,
    draw_splits,
    name_other_spaces,
    parse_shares,
    settle_names,
    settle_splits,
    with_extension,
    write_sets,
)
from boxwright.dataset.importing.pictures import (
    OtherPictureError,
    fetch_images,
    find_images,
    read_header,
    reencoded,
    settle,
    take_shares,
)
from boxwright.dataset.importing.readers import FORMATS, recognise, told
from boxwright.dataset.importing.source import (
    Account,
    BrokenError,
    Frame,
    Reading,
    SourceImage,
    SourceSet,
    folded,
    open_source,
    shown,
)
from boxwright.errors import DataError, UsageError, did_you_mean
from boxwright.storage import unsafe_key

OnInvalid = Literal["fail", "drop"]


@dataclass(frozen=True)
class ConvertOptions:
    """How to convert.

    Attributes:
        kind: one of `FORMATS`; recognised from the files if unset.
        images: the folder of the images, if the source's own is not to be searched.
        strict: whether any loss is an error.
        on_invalid: "fail" ends at broken records, naming all; "drop" leaves them out, by name.
        boxes: whether boxes are drawn on pictures as shown or as stored; told from sizes and format if unset.
        reencode: whether pictures in other formats are written as PNG.
        split: shares of training, validation and test to draw, as "0.8,0.1,0.1", of a source without splits.
        group_by: a regular expression; images whose names have the same text in it are drawn together.
        fetch: whether images that are named by `s3://` addresses are fetched, rather than looked for here.
    """

    kind: str | None = None
    images: Path | None = None
    strict: bool = False
    on_invalid: OnInvalid = "fail"
    boxes: Frame | None = None
    reencode: bool = False
    split: str | None = None
    group_by: str | None = None
    fetch: bool = False


@dataclass(frozen=True)
class Converted:
    """What was written: the classes in the order of their ids, the images of each split, and the account."""

    classes: tuple[str, ...]
    images: dict[str, int]
    crowds: int
    account: Account


def convert_dataset(source: Path, out_dir: Path, options: ConvertOptions | None = None) -> Converted:
    """Writes `annotations.json` with corner boxes in pixels, and `images/`; a folder of both for each split.

    Images are linked where the file system can, copied otherwise. `out_dir` appears whole or not at all.

    Args:
        source: the folder of a set, a file of its annotations, or a .zip, .tar or .tar.gz of a set.
        out_dir: a new or empty folder.
        options: how.

    Raises:
        UsageError: an option is wrong, the format is not recognised, `source` is missing, or `out_dir` is not empty.
        DataError: broken records, all of them counted and the first ones named; or a loss with `strict`.
    """
    options = options or ConvertOptions()
    if options.kind is not None and options.kind not in FORMATS:
        near = did_you_mean(options.kind, FORMATS)
        raise UsageError(f"--from {options.kind!a} is unknown{near}; expected one of {', '.join(FORMATS)}")
    shares = None if options.split is None else parse_shares(options.split)
    if options.group_by is not None and shares is None:
        raise UsageError("--group-by goes with --split; expected shares such as --split 0.8,0.1,0.1")
    if not source.exists():
        raise UsageError(f"{source} does not exist; expected a {options.kind or 'labelled'} set")
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise UsageError(f"{out_dir} already exists; give a new or empty folder")
    account = Account(str(source))
    with opened(source, out_dir, account) as place, _fetched(options, out_dir) as fetched:
        reading = open_source(source, place, options.images, out_dir, account)
        return _converted(reading, out_dir, options, shares, fetched)


@contextmanager
def _fetched(options: ConvertOptions, out_dir: Path) -> Iterator[Path | None]:
    """A folder for images that are fetched, beside the result, so that they can be linked; None where none are."""
    if not options.fetch:
        yield None
        return
    if options.images is not None:
        raise UsageError("--fetch and --images say two things of where the images are; give one of them")
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out_dir.name}-fetched-", dir=out_dir.parent) as folder:
        yield Path(folder)


def _converted(
    reading: Reading,
    out_dir: Path,
    options: ConvertOptions,
    shares: tuple[float, ...] | None,
    fetched: Path | None,
) -> Converted:
    account = reading.account
    found = _read(reading, options.kind, fetched)
    ready = _measured(found, reading, options)
    by_split = _by_split(ready)
    categories = _categories(found, [image.image for image in ready], account)
    if options.on_invalid == "fail":
        account.raise_if_broken()
    if options.strict:
        account.raise_if_lost()
    if not ready:
        elsewhere = "" if reading.images_given else " Images that lie elsewhere are found by --images FOLDER."
        raise DataError(
            f"{reading.source}: no image in it{_reasons(account)}; is it the right folder or file?{elsewhere}"
        )
    out = account.came_out
    out.images, out.classes = len(ready), len(categories)
    out.boxes = sum(len(image.image.objects) for image in ready)
    out.negatives = sum(not image.image.objects for image in ready)
    out.files = len(by_split)
    account.check_balance()
    if shares is not None:
        by_split = _drawn(by_split, shares, options.group_by, account)
    write_sets(by_split, categories, out_dir)
    crowds = sum(box.crowd for image in ready for box in image.image.objects)
    return Converted(tuple(categories), {split: len(images) for split, images in by_split.items()}, crowds, account)


def _read(reading: Reading, kind: str | None, fetched: Path | None) -> SourceSet:
    account = reading.account
    if kind is None:
        kind, reason = recognise(reading)
        account.recognised = f"{kind}, as {reason}"
    form = FORMATS[kind]
    try:
        found = form.read(reading)
    except BrokenError as error:
        other = None if account.recognised else told(reading)
        raise DataError(f"{reading.source}: {error}{f'; {other}' if other else ''}") from None
    account.went_in.classes = len(found.classes)
    reading.name_spellings()
    name_other_spaces(found, account)
    if fetched is not None:
        found.images = fetch_images(found.images, fetched, account)
    find_images(found, reading, form.loosely)
    take_shares(found, account)
    settle_splits(found.images, account)
    settle_names(found.images, reading.pictures.tree.root, account)
    for image in found.images:
        if image.lost and not image.objects:
            account.noted("nothing of what is marked on this image came out, so that it is without boxes", image.where)
    account.went_in.negatives = sum(not image.objects for image in found.images)
    return found


def _measured(found: SourceSet, reading: Reading, options: ConvertOptions) -> list[ReadyImage]:
    """The images with the sizes of their files, those that cannot be taken left out by name."""
    account = reading.account
    ready: list[ReadyImage] = []
    names: dict[tuple[str | None, str], SourceImage] = {}
    for image in found.images:
        data = None
        try:
            try:
                header = read_header(image)
            except OtherPictureError as error:
                if not options.reencode:
                    raise BrokenError(f"{shown(image.name)} is {error}; give --reencode to have it as PNG") from None
                header, data = reencoded(image, account)
            image.out_name = with_extension(image, header.kind, data is not None, account)
            if reason := unsafe_key(image.out_name):
                raise BrokenError(f"the name {shown(image.out_name)} {reason}")
            earlier = names.setdefault((image.split, image.out_name), image)
            if earlier is not image:
                raise BrokenError(f"the name {shown(image.out_name)} is that of {earlier.where} already; rename one")
        except BrokenError as error:
            account.broken(str(error), image.where, images=1, boxes=len(image.objects))
            continue
        size = settle(image, header, options.boxes, found.frame, account)
        ready.append(ReadyImage(image, size, data))
    return ready


def _by_split(ready: Iterable[ReadyImage]) -> dict[str, list[ReadyImage]]:
    """The images of each split; all under "" where there are no splits."""
    found: dict[str, list[ReadyImage]] = {}
    for image in ready:
        found.setdefault(image.image.split or "", []).append(image)
    return {split: found[split] for split in ("", *SPLITS) if split in found}


def _drawn(
    by_split: dict[str, list[ReadyImage]], shares: tuple[float, ...], group_by: str | None, account: Account
) -> dict[str, list[ReadyImage]]:
    if set(by_split) != {""}:
        raise UsageError(f"--split: the source has splits of its own: {', '.join(by_split)}; leave --split out")
    return draw_splits(by_split[""], shares, group_by, account)


def _categories(found: SourceSet, images: list[SourceImage], account: Account) -> dict[str, int]:
    """Ids by name: the source's own, or from 1 on."""
    used = Counter(box.label for image in images for box in image.objects)
    kept: dict[str, int | None] = {}
    twins: dict[str, str] = {}
    for name, key in found.classes.items():
        if not used[name] and name in found.placeholders:
            account.noted("a class without boxes that only groups others, left out", shown(name))
            continue
        if not used[name]:
            account.noted("a class without boxes, kept", shown(name))
        if (twin := twins.setdefault(folded(name), name)) != name:
            account.noted("classes whose names differ in case or Unicode form only", f"{shown(twin)} and {shown(name)}")
        kept[name] = key
    return {name: number if key is None else key for number, (name, key) in enumerate(kept.items(), 1)}


def _reasons(account: Account) -> str:
    first = account.losses[:1]
    return f" ({first[0]})" if first else ""
