"""TFRecord files of tf.train.Examples, without TensorFlow, whose import would cost more than writing a dataset.

A record is its length (8 bytes, little endian), the masked CRC-32C of those, the data, and the masked CRC-32C of the
data; see "TFRecords format details" in TensorFlow's guide. `Example` is tensorflow/core/example/example.proto and
feature.proto, declared again under a package of its own, as TensorFlow registers the original.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, BinaryIO

Value = bytes | str | int | float
_MASK = 0xA282EAD8
_LISTS = {"bytes_list": "BytesList", "float_list": "FloatList", "int64_list": "Int64List"}


def write_record(file: BinaryIO, data: bytes) -> None:
    """Appends one record."""
    length = struct.pack("<Q", len(data))
    file.write(length + _checksum(length))
    file.write(data)
    file.write(_checksum(data))


def _checksum(data: bytes) -> bytes:
    import google_crc32c

    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF)


class BrokenRecordError(ValueError):
    """A file that is not TFRecord, or a record that is not a tf.train.Example; its words say where."""


def read_records(file: BinaryIO) -> Iterator[bytes]:
    """The records of a file, each checked; `file` stands behind the last one that was given.

    Raises:
        BrokenRecordError: a checksum does not fit, or the file ends in the middle of a record.
    """
    end = os.fstat(file.fileno()).st_size
    while head := file.read(12):
        place = f"at byte {file.tell() - len(head)}"
        if len(head) < 12 or _checksum(head[:8]) != head[8:]:
            raise BrokenRecordError(f"not a TFRecord {place}: the length's checksum does not fit; compressed?")
        (length,) = struct.unpack("<Q", head[:8])
        if length > end - file.tell():
            raise BrokenRecordError(f"the file ends in the middle of the record {place}")
        data = file.read(length)
        if _checksum(data) != file.read(4):
            raise BrokenRecordError(f"the checksum of the record {place} does not fit")
        yield data


def decode_example(data: bytes) -> dict[str, list[Value]]:
    """The features of a serialized tf.train.Example by name.

    Raises:
        BrokenRecordError: it is not one.
    """
    from google.protobuf.message import DecodeError

    try:
        example = _message().FromString(data)
    except DecodeError as error:
        raise BrokenRecordError(f"not a tf.train.Example: {error}") from None
    found: dict[str, list[Value]] = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = list(getattr(feature, kind).value) if kind else []
    return found


def encode_example(features: Mapping[str, tuple[str, Sequence[Value]]]) -> bytes:
    """The serialized tf.train.Example of these features; the same features give the same bytes.

    Args:
        features: by name, the kind of list ("bytes_list", "float_list" or "int64_list") and its values.
    """
    example = _message()()
    for name, (kind, values) in features.items():
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        getattr(example.features.feature[name], kind).value.extend(encoded)
        getattr(example.features.feature[name], kind).SetInParent()
    return bytes(example.SerializeToString(deterministic=True))


@lru_cache(maxsize=1)
def _message() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="boxwright/example.proto", package="boxwright", syntax="proto3")

    def message(name: str, *fields: tuple[str, int, int, int, str | None]) -> descriptor_pb2.DescriptorProto:
        added = file.message_type.add(name=name)
        for label, number, repeated, kind, of in fields:
            added.field.add(name=label, number=number, label=repeated, type=kind, type_name=of)
        return added

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    message("BytesList", ("value", 1, many, field.TYPE_BYTES, None))
    message("FloatList", ("value", 1, many, field.TYPE_FLOAT, None))
    message("Int64List", ("value", 1, many, field.TYPE_INT64, None))
    feature = message(
        "Feature",
        *((name, i, one, field.TYPE_MESSAGE, f".boxwright.{of}") for i, (name, of) in enumerate(_LISTS.items(), 1)),
    )
    feature.oneof_decl.add(name="kind")
    for item in feature.field:
        item.oneof_index = 0
    features = message("Features", ("feature", 1, many, field.TYPE_MESSAGE, ".boxwright.Features.FeatureEntry"))
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=one, type=field.TYPE_STRING)
    entry.field.add(name="value", number=2, label=one, type=field.TYPE_MESSAGE, type_name=".boxwright.Feature")
    message("Example", ("features", 1, one, field.TYPE_MESSAGE, ".boxwright.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("boxwright.Example"))
