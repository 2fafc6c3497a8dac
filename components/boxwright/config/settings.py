"""Paths and addresses of this machine's state."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from boxwright.config.metadata_address import METADATA_URI, MetadataAddress
from boxwright.errors import UsageError

BEAM_ARGS = "BOXWRIGHT_BEAM_PIPELINE_ARGS"
# Where a dataset is whose splits the trigger form offers as examples.
SAMPLE_URI = "BOXWRIGHT_SAMPLE_URI"
# The database of studies.
TUNING_URI = "BOXWRIGHT_TUNING_URI"


@dataclass(frozen=True)
class Settings:
    """Paths and addresses of this machine's state, from the environment.

    S3 endpoint, region and credentials are not here: boto3's standard chain (`AWS_*`) has them.
    """

    home: Path
    cache_folder: Path | None = None
    cache_bytes: int = 100_000_000_000
    shared_root: str | None = None
    beam_args: str | None = None
    metadata_address: MetadataAddress | None = None

    @classmethod
    def from_environment(cls) -> Settings:
        """Reads `BOXWRIGHT_HOME` and the size and place of the cache.

        Where `BOXWRIGHT_HOME` is unset, the home is `var/` of the checkout, or `~/.boxwright` of an installed package.

        `BOXWRIGHT_CACHE` is the folder for fetched files (`cache/` in the home when unset), and `BOXWRIGHT_CACHE_GB`
        how much is kept there (100). `BOXWRIGHT_PIPELINE_ROOT` is where the workers' steps find each other's artifacts
        (s3://bucket/prefix; unset where they share the home), and `BOXWRIGHT_METADATA_URI` where ML Metadata is
        (sqlite:////path or postgresql://...; `metadata.sqlite` in the home when unset). `BOXWRIGHT_BEAM_PIPELINE_ARGS`
        are Apache Beam's arguments, to build examples on a cluster (processes of the worker build them when unset):
        they decide where code runs, and so are not a setting of a run.

        Raises:
            UsageError: the size is not a number of gigabytes, or the address of ML Metadata is not valid.
        """
        home = Path(os.environ.get("BOXWRIGHT_HOME") or _default_home(Path(__file__).resolve().parents[3])).resolve()
        given: dict[str, Any] = {}
        if folder := os.environ.get("BOXWRIGHT_CACHE"):
            given["cache_folder"] = Path(folder).resolve()
        if gigabytes := os.environ.get("BOXWRIGHT_CACHE_GB"):
            given["cache_bytes"] = _cache_bytes(gigabytes)
        given["shared_root"] = os.environ.get("BOXWRIGHT_PIPELINE_ROOT") or None
        if address := os.environ.get(METADATA_URI):
            given["metadata_address"] = MetadataAddress.parse(address)
        return cls(home=home, beam_args=os.environ.get(BEAM_ARGS) or None, **given)

    @property
    def cache(self) -> Path:
        """Folder of the cache for fetched files."""
        return self.cache_folder or self.home / "cache"

    @property
    def pipeline_root(self) -> Path:
        """Folder in which steps write their artifacts, and read those of others."""
        return self.home / "pipeline"

    def checkpoints(self, name: str) -> tuple[Path, str | None]:
        """The places of a training's state: a folder in the pipeline root, and a mirror of it.

        The mirror lets a training that lost its machine go on at another one: below `BOXWRIGHT_CHECKPOINT_URI`, an
        `s3://` prefix, or where that is unset, below the shared root of artifacts.
        """
        mirror = os.environ.get("BOXWRIGHT_CHECKPOINT_URI")
        if not mirror and self.shared_root:
            mirror = f"{self.shared_root.rstrip('/')}/checkpoints"
        return self.pipeline_root / "checkpoints" / name, f"{mirror.rstrip('/')}/{name}" if mirror else None

    def meeting_place(self, name: str) -> str:
        """Where machines that train a run together find each other: below the shared root, or in this home.

        Args:
            name: the run as a folder name.
        """
        return self._common_place("machines", name)

    def parts_place(self, name: str) -> str:
        """The place of what machines have found that check the images of a run in parts.

        Args:
            name: the run as a folder name.
        """
        return self._common_place("parts", name)

    def plans_place(self, name: str) -> str:
        """The place of what Beam's workers are asked to write for a run.

        Args:
            name: the run as a folder name.
        """
        return self._common_place("plans", name)

    def _common_place(self, kind: str, name: str) -> str:
        root = self.shared_root.rstrip("/") if self.shared_root else str(self.pipeline_root)
        return f"{root}/{kind}/{name}"

    @cached_property
    def weights_uri(self) -> str:
        """The weights store (`BOXWRIGHT_WEIGHTS_URI`), or `weights/` in `home`."""
        return os.environ.get("BOXWRIGHT_WEIGHTS_URI") or str(self.home / "weights")

    @property
    def metadata(self) -> MetadataAddress:
        """The address of ML Metadata, or its file in `home`."""
        return self.metadata_address or MetadataAddress(path=self.home / "metadata.sqlite")

    @cached_property
    def tracking_uri(self) -> str:
        """MLflow's server (`MLFLOW_TRACKING_URI`), or the same store opened as a file."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.home / 'mlflow.sqlite'}"

    @cached_property
    def tuning_uri(self) -> str:
        """The database of studies (`BOXWRIGHT_TUNING_URI`), or a file in `home`."""
        return os.environ.get(TUNING_URI) or f"sqlite:///{self.home / 'tuning.sqlite'}"


def _default_home(checkout: Path) -> Path:
    return checkout / "var" if (checkout / "pyproject.toml").is_file() else Path.home() / ".boxwright"


def _cache_bytes(gigabytes: str) -> int:
    try:
        number = float(gigabytes)
    except ValueError:
        number = -1
    if not 0 <= number < 1e9:
        raise UsageError(f"BOXWRIGHT_CACHE_GB={gigabytes!r}: expected a number of gigabytes, such as 100 or 0.5")
    return int(number * 1e9)
