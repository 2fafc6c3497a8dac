"""The label map: class names by index, as JSON and in the TF Object Detection API's text format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from boxwright.errors import DataError
from boxwright.storage import write_atomic, write_json

JSON_FILE = "label_map.json"
TEXT_FILE = "label_map.pbtxt"


def export_label_map(classes: Sequence[str], category_ids: Sequence[int], out_dir: Path) -> tuple[Path, Path]:
    """Writes `label_map.json` and `label_map.pbtxt`.

    Args:
        classes: names by 0-based index.
        category_ids: the dataset's own id of each class, in the same order.
        out_dir: receives both files.

    Returns:
        The two paths. The JSON is `{"labels": [names by 0-based index], "category_ids": [...]}`; the text is a
        `StringIntLabelMap`, whose ids are the index plus 1 because 0 means background there.

    Raises:
        DataError: the two lists do not belong together.
    """
    if not classes or len(classes) != len(category_ids):
        raise DataError(
            f"the label map needs one category id for each class, got {len(classes)} classes and "
            f"{len(category_ids)} category ids; build the examples again"
        )
    json_path, text_path = out_dir / JSON_FILE, out_dir / TEXT_FILE
    write_json(json_path, {"labels": list(classes), "category_ids": list(category_ids)})
    items = (_item(number, name) for number, name in enumerate(classes, start=1))
    write_atomic(text_path, "\n".join(items).encode())
    return json_path, text_path


def _item(number: int, name: str) -> str:
    quoted = _quote(name)
    return f'item {{\n  id: {number}\n  name: "{quoted}"\n  display_name: "{quoted}"\n}}\n'


def _quote(text: str) -> str:
    """Escapes a string for protobuf's text format, where a byte outside printable ASCII is three octal digits."""
    # JSON can carry half of a surrogate pair, which has no UTF-8 and would end every reader.
    data = text.encode("utf-8", "replace")
    return "".join(_QUOTED.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in data)


_QUOTED = {ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n", ord("\t"): "\\t", ord("\r"): "\\r"}
