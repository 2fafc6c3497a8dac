"""The facts of a version for its pages, from its tags. People and other tools write tags too: nothing here may fail."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit

from boxwright.config import ModelReference
from boxwright.packaging import ARCHIVE
from boxwright.registry import Version
from boxwright_airflow.pages.registered_models import Model

FINGERPRINT = re.compile(r"[A-Za-z0-9:._-]{1,100}")


@dataclass(frozen=True)
class Card:
    """A version with its aliases."""

    version: Version
    aliases: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.version.name

    @property
    def number(self) -> int:
        """Number of the version."""
        return self.version.version

    @property
    def path(self) -> str:
        """The path of its page, below the pages' own root."""
        return version_path(self.name, self.number)

    @property
    def as_of(self) -> datetime:
        """The time its run stands for, in UTC."""
        return self.version.as_of

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Finite metrics by name."""
        return {name: value for name, value in self.version.metrics.items() if math.isfinite(value)}

    @property
    def ap(self) -> float | None:
        """AP, where it was measured."""
        return self.metrics.get("AP")

    @property
    def ap50(self) -> float | None:
        """AP50, where it was measured."""
        return self.metrics.get("AP50")

    @property
    def model_id(self) -> str:
        """Kind of the detector."""
        return self._tag("model_id")

    @property
    def code_version(self) -> str:
        """Version of Boxwright that made it."""
        return self._tag("code_version")

    @property
    def rejected_by(self) -> str:
        """The person or check that rejected it."""
        return self._tag("rejected_by")

    @cached_property
    def classes(self) -> list[str]:
        """Names by index."""
        found = self._json("classes")
        return [str(name) for name in found] if isinstance(found, list) else []

    @cached_property
    def label_map(self) -> list[tuple[int, str, Any]]:
        """Index, name and the dataset's own id of each class."""
        found = self._json("label_map")
        ids = found.get("category_ids") if isinstance(found, dict) else None
        ids = ids if isinstance(ids, list) and len(ids) == len(self.classes) else [None] * len(self.classes)
        return [(row, name, ids[row]) for row, name in enumerate(self.classes)]

    @cached_property
    def hyperparameters(self) -> dict[str, Any]:
        """The hyperparameters of its training."""
        return self._mapping("hyperparameters")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The run's configuration as it was given."""
        return self._mapping("config")

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the dataset; empty where it is not known."""
        found = self._tag("fingerprint")
        return found if FINGERPRINT.fullmatch(found) else ""

    @property
    def parent(self) -> str:
        """The earlier model that it started from; empty where there is none."""
        return self._tag("parent")

    @property
    def parent_version(self) -> tuple[str, int] | None:
        """The parent, where it is a registered version."""
        found = ModelReference.find(self.parent)
        return (found.name, found.version) if found and found.version is not None else None

    @property
    def parent_shown(self) -> str:
        """The parent in few letters: `detector/3` of a registered version."""
        return "/".join(map(str, self.parent_version)) if self.parent_version else self.parent

    @property
    def archive(self) -> str:
        """URI of `model.tar.gz`; empty where the version has none that Boxwright wrote."""
        uri = self.version.archive_uri
        return uri if uri.endswith(f"/{ARCHIVE}") else ""

    @property
    def folder(self) -> str:
        """URI of the folder of the run's results; empty where the archive is not known."""
        return self.archive.removesuffix(f"/{ARCHIVE}")

    @property
    def run_url(self) -> str:
        """The run's page in Airflow; empty where it has none that a link may lead to."""
        url = self._tag("run_url")
        return url if urlsplit(url).scheme in ("http", "https") else ""

    def _tag(self, name: str) -> str:
        return self.version.tags.get(f"boxwright.{name}", "")

    def _json(self, name: str) -> Any:
        try:
            return json.loads(self._tag(name) or "null")
        except (ValueError, RecursionError):
            return None

    def _mapping(self, name: str) -> dict[str, Any]:
        found = self._json(name)
        return found if isinstance(found, dict) else {}


def cards_of(model: Model) -> list[Card]:
    """All versions of a model, newest first."""
    return [Card(version, tuple(model.aliases_of(version.version))) for version in model.versions]


def version_path(name: str, number: int) -> str:
    """The path of a version's page, below the pages' own root."""
    return f"/models/{quote(name, safe='')}/{number}"
