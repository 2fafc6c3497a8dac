"""The instances of a job that has several, and the environment in which TensorFlow trains on all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from boxwright.errors import DataError, shorten
from boxwright.training import tf_config

# Instances of a job reach each other at every port.
PORT = 7777
_ONE = "algo-1"


@dataclass(frozen=True)
class Hosts:
    """The instances that train together.

    Attributes:
        names: of all, in the order that is the same on each.
        current: the one that this is.
    """

    names: tuple[str, ...] = (_ONE,)
    current: str = _ONE

    @classmethod
    def parse(cls, content: Mapping[str, Any], source: str) -> Hosts:
        """The instances in `resourceconfig.json`; one instance where it names none.

        Raises:
            DataError: it is not what SageMaker writes.
        """
        if "hosts" not in content:
            return cls()
        names, current = content["hosts"], content.get("current_host")
        are_names = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
        if not are_names or not isinstance(current, str) or current not in names or len(set(names)) < len(names):
            told = shorten({"hosts": names, "current_host": current})
            raise DataError(f"{source}: expected names in hosts, each once, with current_host among them, got {told}")
        return cls(tuple(sorted(names)), current)

    @property
    def are_several(self) -> bool:
        """Whether there is another one."""
        return len(self.names) > 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that keeps checkpoints and hands on the model."""
        return self.current == self.names[0]

    def tf_config(self) -> str:
        """The value of `TF_CONFIG` on this one. A name may bring its own port, as several on one machine need it."""
        workers = [name if ":" in name else f"{name}:{PORT}" for name in self.names]
        return tf_config(workers, self.names.index(self.current))
