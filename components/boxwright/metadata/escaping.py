r"""Texts on their way to ML Metadata in PostgreSQL and back: without backslashes there.

Its client writes a text with a backslash as `'E'...'`, which ends the literal after the E: what follows is read as SQL.
JSON has backslashes wherever a text has quotes or letters beyond ASCII, so a class named `café` is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from ml_metadata import metadata_store

# Of Unicode's private use area; a text that has it already stays what it is.
_MARK = "\uf05c"
_BACKSLASH, _ITSELF = f"{_MARK}b", f"{_MARK}m"


class EscapingStore(metadata_store.MetadataStore):
    """A store of PostgreSQL that takes any text and gives it back as it was."""

    def _call(self, method_name: str, request: Message, response: Message, extra_options: Any = None) -> None:
        sent = request.SerializeToString()
        if b"\\" in sent or _MARK.encode() in sent:
            # A copy: the caller's records stay as they are.
            request = type(request).FromString(sent)
            change_texts(request, escaped)
        super()._call(method_name, request, response, extra_options)
        if _MARK.encode() in response.SerializeToString():
            change_texts(response, unescaped)


def escaped(text: str) -> str:
    """A text without backslashes, from which `unescaped` makes what it was."""
    return text.replace(_MARK, _ITSELF).replace("\\", _BACKSLASH)


def unescaped(text: str) -> str:
    """The text that `escaped` was given."""
    return text.replace(_BACKSLASH, "\\").replace(_ITSELF, _MARK)


def change_texts(message: Message, change: Callable[[str], str]) -> None:
    """Changes every text in a message and in those within it; the keys of maps stay."""
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _change_map(value, field.message_type.fields_by_name["value"].type, change)
        elif field.type == FieldDescriptor.TYPE_STRING and field.is_repeated:
            value[:] = [change(one) for one in value]
        elif field.type == FieldDescriptor.TYPE_STRING:
            setattr(message, field.name, change(value))
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for one in value if field.is_repeated else [value]:
                change_texts(one, change)


def _change_map(entries: Any, kind: int, change: Callable[[str], str]) -> None:
    for key in list(entries):
        if kind == FieldDescriptor.TYPE_STRING:
            entries[key] = change(entries[key])
        elif kind == FieldDescriptor.TYPE_MESSAGE:
            change_texts(entries[key], change)
