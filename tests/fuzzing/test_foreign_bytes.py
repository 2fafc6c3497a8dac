"""Bytes of strangers, changed at random: what is wrong with them is said in one line, and nothing crashes."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from foreign_bytes import EXPECTED, PARSERS

FEW, MANY = 300, 30_000
TOKENS = (
    *(b"null", b"NaN", b"-1", b"1e999", b"{}", b"[]", b'""', b"true", b"9" * 400, b"0", b'"', b"]", b"}", b",,"),
    *(b"\\ud800", b"../../x", b"'", b"\xff", b"\0", b"\n", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"[" * 5000),
    *(b'{"a":' * 5000, b";q="),
)
VALUES = (
    *(None, True, -1, 0, 10**30, 10**400, 1e308, float("nan"), float("inf"), "", "x" * 5000, "\ud800", "a\nb", "../x"),
    *([], {}, [None], {"a": 1}, [[[[]]]], {"": {}}),
)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Other bytes: with other values in their JSON, or with a few bytes changed, put in, doubled or cut off."""
    if rng.random() < 0.5:
        try:
            document = json.loads(data)
        except ValueError:
            pass
        else:
            return json.dumps(_with_another_value(document, rng)).encode()
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((0, 1, 1, 2, 5, 20)))
        put = rng.choice((rng.choice(TOKENS), bytes([rng.randrange(256)]), data[at:end] * 2, b""))
        data = data[:at] if rng.random() < 0.05 else data[:at] + put + data[end:]
    return data


def _with_another_value(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.8:
        name = rng.choice(list(value))
        if rng.random() < 0.1:
            return {other: item for other, item in value.items() if other != name}
        return value | {name: _with_another_value(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], _with_another_value(value[place], rng), *value[place + 1 :]]
    return rng.choice(VALUES)


def attempt(name: str, data: bytes) -> None:
    try:
        PARSERS[name].parse(data)
    except EXPECTED as error:
        said = str(error)
        assert said and "\n" not in said and len(said) < 5000, said[:500]


def run(name: str, count: int) -> None:
    attempt(name, PARSERS[name].example)
    for seed in range(count):
        data = mutated(PARSERS[name].example, random.Random(f"{name} {seed}"))
        try:
            attempt(name, data)
        except Exception as error:
            raise AssertionError(f"seed {seed} of {name}: {data[:400]!r}") from error


@pytest.mark.parametrize("name", PARSERS)
def test_a_few(name: str) -> None:
    run(name, FEW)


@pytest.mark.long
@pytest.mark.parametrize("name", PARSERS)
def test_many(name: str) -> None:
    run(name, MANY)
