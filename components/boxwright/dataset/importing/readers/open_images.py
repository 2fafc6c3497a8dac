"""Open Images: a CSV of boxes in shares of the image, and one of the classes' names."""

from __future__ import annotations

from boxwright.dataset.importing.source import (
    BrokenError,
    Reading,
    SourceImage,
    SourceObject,
    SourceSet,
    first_rows,
    read_rows,
    share,
    shown,
)

_NEEDED = ("imageid", "labelname", "xmin", "xmax", "ymin", "ymax")


def recognise(reading: Reading) -> str | None:
    """Why this looks like Open Images, or None."""
    for name in reading.candidates(".csv"):
        if _header(reading, name) is not None:
            return f"{shown(name)} has the columns ImageID, LabelName, XMin"
    return None


def _header(reading: Reading, name: str) -> dict[str, int] | None:
    first = next(iter(first_rows(reading.tree.path(name), 1)), [])
    columns = {cell.lower(): position for position, cell in enumerate(first)}
    return columns if all(column in columns for column in _NEEDED) else None


def read(reading: Reading) -> SourceSet:
    """Reads the boxes of all images that are there; of the others, which most people do not fetch, only the number."""
    images: dict[tuple[str | None, str], SourceImage] = {}
    names = _class_names(reading)
    keys: dict[str, dict[str, str]] = {}  # where each id of a class is first, by the class's name
    for file in reading.candidates(".csv"):
        columns = _header(reading, file)
        if columns is None:
            continue
        reading.account.went_in.files += 1
        split = reading.split_of_file(file)
        _read_file(reading, file, columns, split, names, images, keys)
    _note_classes(keys, names, reading)
    account = reading.account
    account.went_in.images = len(images)
    kept = []
    for image in images.values():
        if reading.pictures.of_stem(image.name):
            kept.append(image)
        else:
            account.left_out(
                "no image of this id among the files", f"{image.where}: {shown(image.name)}", images=1,
                boxes=len(image.objects),
            )  # fmt: skip
    labels = sorted({found.label for image in kept for found in image.objects})
    return SourceSet(kept, dict.fromkeys(labels), frame="raw")


def _note_classes(keys: dict[str, dict[str, str]], names: dict[str, str], reading: Reading) -> None:
    """Names classes that have no name but their id, and ids that have one name."""
    for label, places in keys.items():
        for key, where in places.items():
            if key not in names:
                reading.account.noted("no name for this class among the files; its id is its name",
                                      f"{where}: {shown(key)}")  # fmt: skip
        if len(places) > 1:
            reading.account.changed(
                f"ids of the same name are one class, {shown(label)}", ", ".join(map(shown, places))
            )


def _class_names(reading: Reading) -> dict[str, str]:
    """Names by the ids that Open Images gives its classes, as /m/01g317."""
    found: dict[str, str] = {}
    for name in reading.tree.ending(".csv"):
        if "class-descriptions" in name.lower() or "classes" in name.lower():
            try:
                found |= {row[0]: row[1] for _, row in read_rows(reading.tree.path(name)) if len(row) == 2}
            except BrokenError as error:
                reading.account.noted(f"names of classes are not read: {error}", shown(name))
    return found


def _read_file(
    reading: Reading,
    file: str,
    columns: dict[str, int],
    split: str | None,
    names: dict[str, str],
    images: dict[tuple[str | None, str], SourceImage],
    keys: dict[str, dict[str, str]],
) -> None:
    account = reading.account
    try:
        rows = read_rows(reading.tree.path(file))
        next(rows, None)
        for line, cells in rows:
            account.went_in.boxes += 1
            where = f"{shown(file)}: line {line}"
            row = {column: cells[at] if at < len(cells) else "" for column, at in columns.items()}
            if not row["imageid"] or not row["labelname"]:
                account.broken("expected an ImageID and a LabelName", where, boxes=1)
                continue
            key = (split, row["imageid"])
            if key not in images:
                images[key] = SourceImage(row["imageid"], where, f"{shown(file)}: line {{}}", split=split)
                images[key].normalised = True
            try:
                sides = [share(row[side], side) for side in ("xmin", "ymin", "xmax", "ymax")]
            except BrokenError as error:
                account.broken(str(error), where, boxes=1, of=images[key])
                continue
            label = reading.class_name(names.get(row["labelname"], row["labelname"]))
            if label is None:
                account.broken("expected the name of a class, printable and not empty", where, boxes=1, of=images[key])
                continue
            keys.setdefault(label, {}).setdefault(row["labelname"], where)
            group = row.get("isgroupof") == "1"
            images[key].objects.append(SourceObject(label, (sides[0], sides[1], sides[2], sides[3]), line, group))
    except BrokenError as error:
        account.broken(str(error), shown(file))
