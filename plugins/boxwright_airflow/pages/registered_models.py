"""The registered models as the pages read them: from a short-lived copy, so that 500 versions cost no second a page.

MLflow takes some 3 ms to answer with one version, and a version never changes but for its tags. So each page asks for
the models with their aliases and for versions newer than known ones, and all versions are read again, in the
background, when the copy is older than `FRESH_SECONDS`. What a page decides upon it reads anew.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated

from fastapi import Depends, HTTPException

from boxwright.config import ModelReference
from boxwright.errors import BoxwrightError, UsageError
from boxwright.registry import RegisteredModel, Registry, Version, open_registry

log = logging.getLogger("boxwright.pages")

FRESH_SECONDS = 30.0
_NEWEST_PAGE, _ALL_PAGE = 4, 500


@dataclass(frozen=True)
class Model:
    """One registered model: its versions, newest first, and the aliases of each by its number."""

    name: str
    versions: tuple[Version, ...]
    aliases: dict[str, int]

    def aliases_of(self, version: int) -> list[str]:
        """Names of the aliases that point at a version."""
        return sorted(alias for alias, number in self.aliases.items() if number == version)


class RegisteredModels:
    """The models of one registry.

    Every method raises StorageError or UsageError where the registry does not answer, or refuses.

    Args:
        registry: to read.
        clock: seconds, for tests.
    """

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry, self._clock = registry, clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int], Version] = {}
        self._read_at: float | None = None
        self._refreshing = False

    def models(self) -> list[Model]:
        """All models that have a version, by name."""
        registered = self._registry.models()
        with self._lock:
            if self._read_at is None:
                self._read_all()
            else:
                self._read_newer()
                self._refresh_if_old()
            known = list(self._known.values())
        return [model for found in registered if (model := _model(found, known)).versions]

    def promote(self, name: str, number: int, champion: int | None) -> tuple[Version, Version | None]:
        """Makes a version the champion; returns it and the champion before.

        Args:
            name: of the model.
            number: of the version.
            champion: number of the champion that the person has seen; None where there was none.

        Raises:
            UsageError: there is no such version, it is not accepted, or the champion is another one by now.
        """
        version, before = self._registry.promote(str(ModelReference(name, number)), champion or 0)
        self._keep([version, *([before] if before else [])])
        return version, before

    def rollback(self, name: str, champion: int, reject: bool) -> tuple[Version, Version]:
        """Makes `previous` the champion again; returns the version that went and the one that came.

        Args:
            name: of the model.
            champion: number of the champion that the person has seen.
            reject: withdraw it: no later run starts from it.

        Raises:
            UsageError: the champion is another one by now, or there is none before it.
        """
        went, came = self._registry.rollback(name, reject, champion)
        self._keep([went, came])
        return went, came

    def _keep(self, versions: Sequence[Version]) -> None:
        with self._lock:
            self._known.update({_key(one): one for one in versions})

    def _read_all(self) -> None:
        started = self._clock()
        self._known = self._all()
        self._read_at = started

    def _all(self) -> dict[tuple[str, int], Version]:
        return {_key(one): one for page in self._registry.recent(_ALL_PAGE) for one in page}

    def _read_newer(self) -> None:
        for page in self._registry.recent(_NEWEST_PAGE):
            seen = [_key(one) in self._known for one in page]
            self._known.update({_key(one): one for one in page})
            if any(seen):
                return

    def _refresh_if_old(self) -> None:
        old = self._read_at is not None and self._clock() - self._read_at > FRESH_SECONDS
        if old and not self._refreshing:
            self._refreshing = True
            threading.Thread(target=self._refresh, daemon=True, name="boxwright-registered").start()

    def _refresh(self) -> None:
        started = self._clock()
        try:
            known = self._all()
            with self._lock:
                self._known = known
                self._read_at = started
        except BoxwrightError as error:
            log.warning("the registry could not be read again: %s", error)
        finally:
            self._refreshing = False


def find_model(models: Sequence[Model], name: str) -> Model:
    """One of the models.

    Raises:
        UsageError: there is none of that name; the message lists what there is.
    """
    found = next((model for model in models if model.name == name), None)
    if found is None:
        listed = ", ".join(model.name for model in models[:20]) or "none"
        raise UsageError(f"no model {name} has a version; registered are {listed}")
    return found


@cache
def warm() -> None:
    """Reads the registry once in the background: Airflow's UI asks for an icon before anybody asks for a page."""

    def read() -> None:
        try:
            _registered().models()
        except BoxwrightError as error:
            log.info("the registry could not be prefetched: %s", error)

    threading.Thread(target=read, daemon=True, name="boxwright-registered").start()


def open_registered() -> RegisteredModels:
    """The registry that `MLFLOW_TRACKING_URI` names, for a route.

    Raises:
        HTTPException: 503 where it names no server.
    """
    try:
        return _registered()
    except UsageError as error:
        raise HTTPException(503, str(error)) from None


@cache
def _registered() -> RegisteredModels:
    return RegisteredModels(open_registry(quick=True))


Registered = Annotated[RegisteredModels, Depends(open_registered)]


def _model(found: RegisteredModel, known: list[Version]) -> Model:
    versions = sorted((one for one in known if one.name == found.name), key=lambda one: -one.version)
    return Model(found.name, tuple(versions), found.aliases)


def _key(version: Version) -> tuple[str, int]:
    return version.name, version.version
