"""The administrator's lists of what a run may name: folders and prefixes, S3 servers, Airflow connections and roles.

Each list is an environment variable (`boxwright.config.Limit`), entries separated by commas. `*` stands for everything,
and an empty list for nothing. What a list that is not set means is the caller's to say: a command on a shell has its
user's rights anyway, while whoever starts a run in Airflow borrows those of the workers.

A value is compared after links were followed and `..` was resolved, by whole parts of its path: `s3://data` allows
`s3://data/weekly`, and neither `s3://data-of-others` nor `s3://DATA`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from boxwright.config import Limit, ModelReference, Settings, is_registered
from boxwright.errors import NotAllowedError, UsageError
from boxwright.storage.location import Location, parse_uri

EVERYTHING = "*"
Entries = tuple[str, ...]
_WHAT = {
    Limit.URIS: "a URI below one of them",
    Limit.ENDPOINTS: "one of them, or leave it unset",
    Limit.CONNECTIONS: "one of them, or leave it unset",
    Limit.ROLES: "one of them, or leave it unset",
}


@dataclass(frozen=True)
class Allowed:
    """The lists that hold here; a list that is missing allows everything."""

    lists: Mapping[Limit, Entries]

    @classmethod
    def from_environment(cls, unset: Mapping[Limit, Iterable[str]] | None = None) -> Allowed:
        """Reads the lists.

        Args:
            unset: what a list allows that the environment does not hold; everything if that is not given.
        """
        lists = {limit: tuple(entries) for limit, entries in (unset or {}).items()}
        for limit in Limit:
            if (text := os.environ.get(limit)) is not None:
                lists[limit] = tuple(entry.strip() for entry in text.split(",") if entry.strip())
        return cls(lists)

    def environment(self) -> dict[str, str]:
        """The variables that tell other processes, and storage in this one, the same lists."""
        return {str(limit): ",".join(entries) for limit, entries in self.lists.items()}

    def check(self, settings: BaseModel) -> None:
        """Holds every value of a configuration record that is subject to a list against it, before anything is read.

        Raises:
            NotAllowedError: naming each setting that is refused, and its list.
        """
        problems = [
            self._refusal(name, value, limit)
            for name, value, limit in _subject(settings)
            if not self.allows(value, limit)
        ]
        if problems:
            raise NotAllowedError("; ".join(problems))

    def allows(self, value: str, limit: Limit) -> bool:
        """Whether a list has the value.

        Raises:
            UsageError: the value, or an entry of the list, is no URI.
        """
        entries = self.lists.get(limit)
        return entries is None or EVERYTHING in entries or _MATCHES[limit](value, entries)

    def check_place(self, uri: str) -> None:
        """Refuses a place that was not named by a setting, but by a registry or a file, unless the list of URIs has it.

        What Boxwright keeps for itself is allowed as well.

        Raises:
            NotAllowedError: the list does not have it, after links were followed.
        """
        entries = self.lists.get(Limit.URIS)
        if entries is None or EVERYTHING in entries or _below_one(uri, (*entries, *_own_places())):
            return
        listed = f"has {', '.join(entries)}" if entries else "is empty"
        raise NotAllowedError(
            f"{uri} is not read: {Limit.URIS}, which the administrator sets, {listed}; have its folder added, or "
            "register what lies below one of them"
        )

    def _refusal(self, name: str, value: str, limit: Limit) -> str:
        entries = self.lists[limit]
        listed = f"has {', '.join(entries)}" if entries else "is empty"
        return (
            f"{name}={value} is not allowed: {limit}, which the administrator of the workers sets, {listed}; "
            f"use {_WHAT[limit]}, or have it added"
        )


def are_links_limited() -> bool:
    """Whether there is a list of allowed folders."""
    return Limit.URIS in os.environ


def check_links(path: Path) -> None:
    """Refuses a local path on which a link leads out of the allowed folders, where there is a list of them.

    What Boxwright keeps for itself is allowed as well: artifacts, cache, weights, temporary files.

    Raises:
        NotAllowedError: it leads elsewhere.
    """
    if not are_links_limited() or (real := os.path.realpath(path)) == os.path.abspath(path):
        return
    entries = Allowed.from_environment().lists[Limit.URIS]
    if EVERYTHING in entries:
        return
    if not _below_one(real, (*entries, *_own_places(), tempfile.gettempdir())):
        raise NotAllowedError(
            f"{path} is a link, or lies behind one, that leads out of {Limit.URIS} ({', '.join(entries)}); put the "
            "file itself there, or have the folder that it leads to added"
        )


def _own_places() -> tuple[str, ...]:
    settings = Settings.from_environment()
    return str(settings.pipeline_root), str(settings.cache), settings.weights_uri


def _subject(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, str, Limit]]:
    """Flat name, value and list of each setting that is subject to one."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from _subject(value, f"{name}_")
        elif isinstance(value, str):
            yield from ((prefix + name, value, limit) for limit in field.metadata if isinstance(limit, Limit))


def _below_one(uri: str, roots: Sequence[str]) -> bool:
    # A name in the registry is not a place; where it lies is known when it is opened.
    if is_registered(uri):
        ModelReference.parse(uri)
        return True
    location = _resolved(uri)
    return any(_is_below(location, _root(root)) for root in roots)


def _root(entry: str) -> Location:
    try:
        return _resolved(entry)
    except UsageError as error:
        raise UsageError(f"{Limit.URIS} has {entry!a}: {error}") from None


def _resolved(uri: str) -> Location:
    location = parse_uri(uri)
    return location if location.bucket is not None else Location(None, os.path.realpath(location.path))


def _is_below(location: Location, root: Location) -> bool:
    if location.bucket != root.bucket:
        return False
    folder = root.key.rstrip("/")
    return location.key == folder or location.key.startswith(f"{folder}/") or (root.bucket is not None and not folder)


def _same_address(url: str, entries: Sequence[str]) -> bool:
    return url.rstrip("/").lower() in {entry.rstrip("/").lower() for entry in entries}


def _same(text: str, entries: Sequence[str]) -> bool:
    return text in entries


_MATCHES: dict[Limit, Callable[[str, Sequence[str]], bool]] = {
    Limit.URIS: _below_one,
    Limit.ENDPOINTS: _same_address,
    Limit.CONNECTIONS: _same,
    Limit.ROLES: _same,
}
