"""The model registry, as Python code asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boxwright.api.arguments import name_of

if TYPE_CHECKING:
    from boxwright.registry import Registry


def open_registry(tracking_uri: str | None = None) -> Registry:
    """The model registry: `models()`, `versions(name)`, `resolve(reference)`, `promote(reference)`, `rollback(name)`.

    Args:
        tracking_uri: address of an MLflow server, or a store that MLflow opens itself; `MLFLOW_TRACKING_URI`, or the
            store in the home if unset.

    Raises:
        UsageError: it is not an address.
    """
    from boxwright.registry import open_registry as opened

    return opened(name_of(tracking_uri, "tracking_uri"))
