"""EXIF's rotation flag within a TensorFlow graph, so that a stock container sees an image as a person does."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_SEARCHED = 1 << 16  # bytes; EXIF's block stands in front, and is no longer than this in a JPEG
_ORIENTATION = 0x0112
_JPEG_START, _JPEG_MARK, _PNG_MARK = b"\xff\xd8", b"Exif\0\0", b"eXIf"
_MOST_ENTRIES = 256


def upright(image: Any, encoded: Any) -> Any:
    """Turns a decoded image as the flag in its bytes says; as it is where there is none, or a broken one.

    Args:
        image: `(height, width, 3)`.
        encoded: the JPEG or PNG that it was decoded from.

    Returns:
        `(height, width, 3)`, or with both sides exchanged.
    """
    turned = tf.switch_case(
        orientation(encoded) - 1,
        [
            lambda: image,
            lambda: image[:, ::-1],
            lambda: image[::-1, ::-1],
            lambda: image[::-1],
            lambda: tf.transpose(image, (1, 0, 2)),
            lambda: tf.transpose(image, (1, 0, 2))[:, ::-1],
            lambda: tf.transpose(image, (1, 0, 2))[::-1, ::-1],
            lambda: tf.transpose(image, (1, 0, 2))[::-1],
        ],
    )
    return tf.ensure_shape(turned, (None, None, 3))


def orientation(encoded: Any) -> Any:
    """EXIF's orientation, 1 to 8, as a scalar int32; 1 where the bytes have none that is valid.

    The layout is TIFF's (EXIF 2.32, section 4.5): byte order, offset of the first directory, its number of entries of
    12 bytes each, and in each a tag, a type, a count and a value.
    """
    data = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, 0, _SEARCHED), tf.uint8), tf.int32)
    is_jpeg = tf.equal(tf.strings.substr(encoded, 0, len(_JPEG_START)), _JPEG_START)
    start = tf.where(is_jpeg, _after(data, _JPEG_MARK), _after(data, _PNG_MARK))
    # Behind the end, zeros are read: no entry of a block that is cut off can be the flag.
    padded = tf.concat([data, tf.zeros(16, tf.int32)], 0)
    last = tf.shape(padded)[0] - 1

    def number(places: Any, size: int) -> Any:
        """Unsigned numbers at `places`, in the block's byte order."""
        spots = tf.clip_by_value(places[..., None] + tf.range(size), 0, last)
        read = tf.gather(padded, spots)
        read = tf.where(little, read[..., ::-1], read)
        weights = tf.constant([256 ** (size - 1 - i) for i in range(size)], tf.int64)
        return tf.reduce_sum(tf.cast(read, tf.int64) * weights, -1)

    little = tf.equal(tf.gather(padded, tf.clip_by_value(start, 0, last)), ord("I"))
    # Cut before they are added up: what lies outside of the block is not looked at anyway.
    directory = start + tf.cast(tf.minimum(number(start + 4, 4), _SEARCHED), tf.int32)
    entries = directory + 2 + 12 * tf.range(_MOST_ENTRIES)
    is_flag = tf.equal(number(entries, 2), _ORIENTATION) & (
        tf.range(_MOST_ENTRIES, dtype=tf.int64) < number(directory, 2)
    )
    values = tf.boolean_mask(number(entries + 8, 2), is_flag)
    value = tf.cast(tf.concat([values, [1]], 0)[0], tf.int32)
    is_valid = (start >= 0) & (value >= 1) & (value <= 8)
    return tf.where(is_valid, value, 1)


def _after(data: Any, mark: bytes) -> Any:
    """The position after the first `mark`, or -1 if there is none."""
    length = tf.maximum(tf.shape(data)[0] - len(mark) + 1, 0)
    found = tf.ones((length,), tf.bool)
    for i, byte in enumerate(mark):
        found &= tf.equal(data[i : i + length], byte)
    places = tf.where(found)[:, 0]
    first = tf.concat([tf.cast(places, tf.int32), [-len(mark) - 1]], 0)[0]
    return first + len(mark)
