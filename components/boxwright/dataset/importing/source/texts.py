"""Untrusted text files: decoded, and parsed as JSON, YAML, XML or CSV by libraries that build nothing but plain data.

XML that declares entities is refused before a parser sees it, so that none can be expanded or fetched. YAML becomes
text, lists and objects only: a class called `no` or `007` keeps its name.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from boxwright.dataset.importing.source.records import BrokenError
from boxwright.errors import shorten

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_XML_ENCODING = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_DEEPEST = 100
_TOLD_BY = 1 << 16  # bytes
_LARGEST = 4 << 30


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Raises:
        BrokenError: it is not such text, or cannot be read.
    """
    return _decoded(_bytes_of(path), "utf-8")


def head_of(path: Path, length: int = 1 << 20) -> bytes:
    """The beginning of a file, to tell a format by, in UTF-8 whatever the file is in: no mark, no space in front.

    Letters that a format is told by are ASCII, which UTF-16 has with zeros between. Empty where it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(length).replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    except OSError:
        return b""


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise BrokenError(f"the file is larger than {_LARGEST >> 30} GB")
        return path.read_bytes()
    except OSError as error:
        raise BrokenError(f"cannot be read: {error.strerror or error}") from None


def _decoded(data: bytes, encoding: str) -> str:
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if marked is None and encoding.lower() in ("utf-8", "utf-16"):
        # Zeros beside letters of ASCII tell UTF-16; .NET's tools declare it and write UTF-8.
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le" if data[1:2] == b"\0" else "utf-8"
    encoding = marked or encoding
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise BrokenError(f"not {encoding.upper()} at byte {error.start}; save the file as UTF-8") from None
    except LookupError:
        raise BrokenError(f"encoding {shorten(encoding)} is unknown; save the file as UTF-8") from None


def read_json(path: Path) -> Any:
    """What a JSON file holds; NaN and infinity are let through, for the reader to name.

    Raises:
        BrokenError: it is not JSON.
    """
    return parse_json(read_text(path))


def parse_json(text: str) -> Any:
    """As `read_json`, of text."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except BrokenError:
        raise
    except json.JSONDecodeError as error:
        raise BrokenError(f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise BrokenError(f"not usable JSON: {shorten(str(error) or type(error).__name__)}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; of two different values for one key none is the right one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, value in pairs:
            if found[key] is not value and found[key] != value:
                raise BrokenError(f"the key {shorten(key)} is there twice in one object, with different values")
    return found


def read_xml(path: Path) -> ET.Element:
    """The root of an XML file in the encoding that it declares; names of tags without their namespaces.

    Raises:
        BrokenError: it is not well-formed, or declares entities.
    """
    data = _bytes_of(path)
    declared = _XML_ENCODING.match(data[:200])
    text = _decoded(data, declared[1].decode() if declared else "utf-8").lstrip()
    if "<!ENTITY" in text:
        raise BrokenError("it declares entities of its own, which are not expanded; take the DOCTYPE out")
    try:
        root = ET.fromstring(text)  # noqa: S314 - entities are refused above
    except ET.ParseError as error:
        line, column = error.position
        reason = str(error).split(":")[0]
        hint = "; is an & or < not escaped?" if "token" in reason or "entity" in reason else ""
        raise BrokenError(f"not XML at line {line}, column {column}: {reason}{hint}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise BrokenError(f"not usable XML: {shorten(str(error) or type(error).__name__)}") from None
    if "xmlns" in text:
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
    return root


def child_text(element: ET.Element, name: str) -> str | None:
    """The whole text of a direct child, without space around it; None where there is no such child or text."""
    found = element.find(name)
    text = "" if found is None else "".join(found.itertext()).strip()
    return text or None


def read_yaml(path: Path) -> Any:
    """What a YAML file holds, every scalar as the text that it is written as; empty ones are "".

    Raises:
        BrokenError: it is not YAML, a key is there twice, or it is nested too deep.
    """
    return parse_yaml(read_text(path))


def parse_yaml(text: str) -> Any:
    """As `read_yaml`, of text."""
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        document = next(iter(yaml.compose_all(text, Loader=loader)), None)
        return None if document is None else _plain(document, {}, 0)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise BrokenError(f"not YAML{place}: {getattr(error, 'problem', None) or shorten(str(error))}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise BrokenError(f"not usable YAML: {shorten(str(error) or type(error).__name__)}") from None


def _plain(node: Any, made: dict[int, Any], depth: int) -> Any:
    """Text, list or dict of a node. An alias is the same object again, so that no chain of them grows."""
    import yaml

    if depth > _DEEPEST:
        raise BrokenError(f"nested deeper than {_DEEPEST} levels")
    if id(node) in made:
        return made[id(node)]
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        items = made[id(node)] = []
        items.extend(_plain(item, made, depth + 1) for item in node.value)
        return items
    pairs: dict[str, Any] = {}
    made[id(node)] = pairs
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else shorten(str(key.value))
        if name in pairs:
            raise BrokenError(f"the key {shorten(name)} is there twice, again at line {key.start_mark.line + 1}")
        pairs[name] = _plain(value, made, depth + 1)
    return pairs


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV with the number of their line, empty ones left out; commas, semicolons or tabs separate.

    Raises:
        BrokenError: it is not text, or not CSV.
    """
    return _rows(read_text(path))


def first_rows(path: Path, count: int) -> list[list[str]]:
    """The first rows of a CSV, to tell it by, whatever it is encoded in; none where it is not CSV."""
    head = head_of(path, _TOLD_BY).decode("utf-8", "replace")
    try:
        return [row for _, row in islice(_rows(head), count)]
    except BrokenError:
        return []


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise BrokenError(f"not CSV at line {reader.line_num}: {error}") from None
