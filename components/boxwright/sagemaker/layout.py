"""Where SageMaker puts what a training job was given, and what that means as a run's settings.

Source: "How Amazon SageMaker AI Provides Training Information", and "Use Your Own Inference Code with Hosting
Services", in Amazon SageMaker AI's developer guide.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxwright.config import (
    SPLITS,
    RunConfig,
    ServingConfig,
    nest_settings,
    parse_config,
    parse_record,
    parse_settings,
    run_fields,
)
from boxwright.dataset.annotations import splits_below
from boxwright.errors import DataError, UsageError, shorten
from boxwright.sagemaker.hosts import Hosts

PREFIX = Path("/opt/ml")
HOST, PORT = "0.0.0.0", 8080  # noqa: S104 - SageMaker asks for it
_MODEL_CHANNEL = "model"
# Hyperparameters of SageMaker's own: of its SDK and of its tuner.
_OWN = ("sagemaker_", "_")
_SHARDED = "ShardedByS3Key"
# How texts begin that are not plain words: JSON, or what Python writes.
_ENCODED = ('"', "[", "{", "(")
_UNSET = ("null", "None")
# Settings of the server by the variable with which SageMaker's hosting names them.
_LIMITS = {"SAGEMAKER_BIND_TO_PORT": "port", "SAGEMAKER_MODEL_SERVER_TIMEOUT": "answer_timeout"}


@dataclass(frozen=True)
class Layout:
    """The folders of a job.

    Attributes:
        prefix: `/opt/ml`.
    """

    prefix: Path = PREFIX

    @property
    def model(self) -> Path:
        """The folder whose files become the job's `model.tar.gz`; they lie there again where the model is served."""
        return self.prefix / "model"

    @property
    def results(self) -> Path:
        """The folder whose files become the job's `output.tar.gz`."""
        return self.prefix / "output" / "data"

    @property
    def failure(self) -> Path:
        """The file whose text is the reason of a failed job."""
        return self.prefix / "output" / "failure"

    @property
    def home(self) -> Path:
        """Boxwright's home, in the folder that a job which goes on finds again."""
        return self.prefix / "checkpoints" / "boxwright"

    @property
    def output(self) -> Path:
        """The run's own folder for results, which a job that goes on finds again; they are copied to `results`."""
        return self.home / "results"

    def run_config(self) -> RunConfig:
        """The settings of the run that the job asks for.

        Raises:
            DataError: a file of the contract is no JSON object, or a channel has no annotations.
            UsageError: a hyperparameter is unknown or wrong, or the job asks for what is not there.
        """
        given = {name: _plain(text) for name, text in self._read("hyperparameters").items()}
        texts = [f"{name}={value}" for name, value in given.items() if value is not None and not name.startswith(_OWN)]
        values = parse_settings(texts, run_fields(), "hyperparameters.json")
        decided = {**self._channels(), "output": str(self.output)}
        if twice := sorted(values.keys() & {*decided, *SPLITS}):
            raise UsageError(f"hyperparameters {', '.join(twice)}: the job's channels and its output path decide that")
        return parse_config(nest_settings(values | decided))

    def _channels(self) -> dict[str, Any]:
        found = {name: self.prefix / "input" / "data" / name for name in self._read("inputdataconfig")}
        known = (*SPLITS, _MODEL_CHANNEL)
        if unknown := sorted(set(found) - set(known)):
            raise UsageError(f"no channel of this algorithm: {', '.join(unknown)}; there are {', '.join(known)}")
        if "training" not in found:
            raise UsageError(f"there is no channel training; the job has {', '.join(sorted(found)) or 'none'}")
        for name, config in self._read("inputdataconfig").items():
            config = config if isinstance(config, dict) else {}
            mode = config.get("TrainingInputMode", "File")
            if mode == "Pipe":
                raise UsageError(f"channel {name} has the input mode Pipe; File and FastFile are read")
            if self.hosts().are_several and config.get("S3DistributionType") == _SHARDED:
                raise UsageError(
                    f"channel {name} is {_SHARDED}, so that each instance has a part; choose FullyReplicated: all "
                    "instances go through the same images, each with its part of a batch"
                )
        splits = {name: str(folder) for name, folder in found.items() if name in SPLITS}
        # One channel may hold the whole set.
        whole = splits_below(splits["training"]) if len(splits) == 1 else splits
        return {**whole, **(_seed(found[_MODEL_CHANNEL]) if _MODEL_CHANNEL in found else {})}

    def hosts(self) -> Hosts:
        """The job's instances.

        Raises:
            DataError: `resourceconfig.json` is not what SageMaker writes.
        """
        return Hosts.parse(self._read("resourceconfig", required=False), "resourceconfig.json")

    def _read(self, name: str, required: bool = True) -> dict[str, Any]:
        path = self.prefix / "input" / "config" / f"{name}.json"
        if not required and not path.exists():
            return {}
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}; SageMaker writes it as JSON") from None
        if not isinstance(content, dict):
            raise DataError(f"{path}: expected a JSON object, got {shorten(content)}")
        return content


def serving_config(environment: Mapping[str, str] = os.environ) -> ServingConfig:
    """The server's settings as SageMaker's hosting has them.

    Raises:
        UsageError: a variable is not valid.
    """
    given = {field: environment[name] for name, field in _LIMITS.items() if environment.get(name)}
    return parse_record(ServingConfig, {"host": HOST, "port": PORT, **given})


def _plain(given: Any) -> str | None:
    """A value as `--set` takes it; None where it is unset.

    SageMaker's SDKs send a text as it is or as JSON, and other values as JSON or as Python writes them.
    """
    value = _decoded(given) if isinstance(given, str) else given
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ",".join(str(one) for one in value)
    return json.dumps(value)


def _decoded(text: str) -> Any:
    if text in _UNSET:
        return None
    if text.startswith(_ENCODED):
        for read in (json.loads, ast.literal_eval):
            with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                return read(text)
    return text


def _seed(folder: Path) -> dict[str, Any]:
    """The start of the training that a channel names: a model of an earlier job, or a store of published weights."""
    archives = sorted(folder.glob("*.tar.gz"))
    if len(archives) > 1:
        raise UsageError(f"{folder}: expected one archive, got {', '.join(path.name for path in archives)}")
    if archives or (folder / "model.json").is_file():
        return {"seed_mode": "incremental", "parent": str(archives[0] if archives else folder)}
    return {"weights_uri": str(folder)}
