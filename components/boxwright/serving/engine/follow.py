"""Switches a running server to what its reference means when that changes."""

from __future__ import annotations

import asyncio
import logging

from boxwright.config import ModelReference
from boxwright.errors import BoxwrightError, UsageError
from boxwright.registry import resolve_model
from boxwright.serving.engine.engine import Engine, settle_memory
from boxwright.serving.engine.loading import load_as_set

_log = logging.getLogger("boxwright")


def followed(reference: str) -> None:
    """Checks that a reference can come to mean another model.

    Raises:
        UsageError: it names one version for ever.
    """
    if (found := ModelReference.find(reference)) is None or not found.alias:
        raise UsageError(
            f"--follow needs a reference that can move, such as models:/detector@champion, got {reference}"
        )


class Follower:
    """Looks at the registry from time to time; a new model is loaded and checked beside the old one, then takes over.

    A model that cannot be loaded, or fails its check, is refused once and named in the log; the old one stays. Storage
    that does not answer is asked again.

    Args:
        reference: with an alias.
        engine: to be switched.
        seconds: between two looks.
    """

    def __init__(self, reference: str, engine: Engine, seconds: float) -> None:
        self._reference, self._engine, self._seconds = reference, engine, seconds
        self._refused: set[str] = set()

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.look()
            except Exception:  # whatever it is, the old model goes on answering
                _log.exception("the registry could not be followed; trying again in %g s", self._seconds)

    async def look(self) -> bool:
        """Looks once.

        Returns:
            Whether the model was switched.
        """
        engine, loading = self._engine, ""
        try:
            source = await asyncio.to_thread(resolve_model, self._reference)
            current = engine.current.info.source.reference
            if source.reference == current or source.reference in self._refused:
                return False
            loading = source.reference
            _log.info("%s is now %s; loading it beside %s", self._reference, loading, current)
            predictor = await asyncio.to_thread(load_as_set, source, engine.config)
        except BoxwrightError as error:
            if loading and not error.retryable:
                self._refused.add(loading)
                engine.telemetry.switch("refused")
                _log.error("%s is refused; %s stays in use: %s", loading, engine.current.info.source.reference, error)
            else:
                _log.warning("%s could not be resolved, trying again: %s", self._reference, error)
            return False
        # Its process, where it has one, ends with the last batch that began with it.
        engine.current = predictor
        engine.telemetry.switch("taken")
        engine.telemetry.model(source.reference)
        _log.info("%s is in use now", source.reference)
        # The old model is in cycles with its functions.
        await asyncio.to_thread(settle_memory)
        return True
