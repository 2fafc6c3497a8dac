"""What a training job was given, as SageMaker writes it, becomes a run's settings; what is not there is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from boxwright.errors import DataError, UsageError
from boxwright.sagemaker.hosts import PORT
from boxwright.sagemaker.layout import Layout, serving_config


def write(prefix: Path, name: str, content: Any) -> None:
    folder = prefix / "input" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def job(tmp_path: Path) -> Layout:
    """A job with one channel, in the words of SageMaker's guide."""
    write(tmp_path, "hyperparameters", {"epochs": "3"})
    channel = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    write(tmp_path, "inputdataconfig", {"training": channel})
    write(tmp_path, "resourceconfig", {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"})
    folder = tmp_path / "input" / "data" / "training"
    folder.mkdir(parents=True)
    (folder / "annotations.json").write_text("{}")
    return Layout(tmp_path)


def test_hyperparameters_come_as_strings_or_as_json_in_strings(job: Layout) -> None:
    given = {
        "epochs": "7",
        "optimizer": '"sgd"',
        "learning_rate": "1e-05",
        "early_stopping": "True",
        "train_only_on_top_layer": '"False"',
        "gate_min_ap": "0.25",
        "sagemaker_program": '"train.py"',
        "sagemaker_container_log_level": "20",
        "_tuning_objective_metric": "validation:localization_loss",
    }
    write(job.prefix, "hyperparameters", given)
    config = job.run_config()
    chosen = config.hyperparameters
    assert (chosen.epochs, chosen.optimizer, chosen.learning_rate) == (7, "sgd", 1e-5)
    assert chosen.early_stopping is True and chosen.train_only_on_top_layer is False
    assert config.gate.min_ap == 0.25
    assert (config.training, config.validation) == (str(job.prefix / "input" / "data" / "training"), None)
    assert config.output == str(job.prefix / "checkpoints" / "boxwright" / "results")


@pytest.mark.parametrize(
    ("sent", "name", "value"),
    [
        ("true", "early_stopping", True),  # as `ModelTrainer` writes a truth value
        ("True", "early_stopping", True),  # as `Estimator` does
        ('"True"', "early_stopping", True),  # as the tuner's estimators of frameworks do
        ("None", "learning_rate", 0.001),
        ("null", "learning_rate", 0.001),
        ('"adam', "optimizer", None),
    ],
)
def test_values_are_read_however_an_sdk_writes_them(job: Layout, sent: str, name: str, value: Any) -> None:
    write(job.prefix, "hyperparameters", {name: sent})
    if value is None:
        with pytest.raises(UsageError, match='hyperparameters.json: optimizer="adam'):
            job.run_config()
    else:
        assert getattr(job.run_config().hyperparameters, name) == value


@pytest.mark.parametrize(
    "sent", [{"bolt": 0.4, "nut": 0.3}, '{"bolt": 0.4, "nut": 0.3}', "{'bolt': 0.4, 'nut': 0.3}", "bolt=0.4,nut=0.3"]
)
def test_objects_and_lists_are_read_however_an_sdk_writes_them(job: Layout, sent: Any) -> None:
    for formats in (["saved_model", "litert"], "['saved_model', 'litert']", '["saved_model","litert"]'):
        write(job.prefix, "hyperparameters", {"gate_min_ap50_per_class": sent, "export_formats": formats})
        config = job.run_config()
        assert config.gate.min_ap50_per_class == {"bolt": 0.4, "nut": 0.3}
        assert config.export.formats == ("saved_model", "litert:float32")


def test_several_instances_train_together(job: Layout) -> None:
    assert not job.hosts().are_several and job.hosts().is_first
    names = ["algo-2", "algo-1"]
    for current, index in (("algo-1", 0), ("algo-2", 1)):
        write(job.prefix, "resourceconfig", {"current_host": current, "hosts": names})
        hosts = job.hosts()
        assert hosts.are_several and hosts.is_first == (index == 0)
        cluster = json.loads(hosts.tf_config())
        assert cluster["cluster"] == {"worker": [f"algo-1:{PORT}", f"algo-2:{PORT}"]}
        assert cluster["task"] == {"type": "worker", "index": index}
    assert job.run_config().hyperparameters.epochs == 3
    write(job.prefix, "inputdataconfig", {"training": {"S3DistributionType": "ShardedByS3Key"}})
    with pytest.raises(UsageError, match="training is ShardedByS3Key.*choose FullyReplicated"):
        job.run_config()


def test_channels_are_splits_and_a_model_to_start_from(job: Layout) -> None:
    data = job.prefix / "input" / "data"
    write(job.prefix, "inputdataconfig", {name: {} for name in ("training", "validation", "test", "model")})
    for name in ("validation", "test", "model"):
        (data / name).mkdir()
    config = job.run_config()
    assert (config.validation, config.test) == (str(data / "validation"), str(data / "test"))
    assert config.weights_uri == str(data / "model")
    (data / "model" / "model.tar.gz").write_bytes(b"an archive")
    config = job.run_config()
    assert (config.seed_mode, config.parent) == ("incremental", str(data / "model" / "model.tar.gz"))
    (data / "model" / "other.tar.gz").write_bytes(b"an archive")
    with pytest.raises(UsageError, match=r"expected one archive, got model.tar.gz, other.tar.gz"):
        job.run_config()


def test_one_channel_may_hold_all_splits(job: Layout) -> None:
    training = job.prefix / "input" / "data" / "training"
    (training / "annotations.json").unlink()
    for split in ("train", "valid"):
        (training / split).mkdir()
        (training / split / "annotations.json").write_text("{}")
    config = job.run_config()
    assert (config.training, config.validation) == (str(training / "train"), str(training / "valid"))


@pytest.mark.parametrize(
    ("name", "content", "kind", "said"),
    [
        ("hyperparameters", {"epoch": "3"}, UsageError, r"epoch is unknown \(did you mean epochs\?\)"),
        ("hyperparameters", {"epochs": "many"}, UsageError, "epochs"),
        ("hyperparameters", {"output": "s3://x"}, UsageError, "output"),
        ("hyperparameters", "[1]", DataError, "hyperparameters.json: expected a JSON object"),
        ("hyperparameters", "{", DataError, "hyperparameters.json cannot be read"),
        ("inputdataconfig", {"validation": {}}, UsageError, "no channel training; the job has validation"),
        ("inputdataconfig", {"training": {}, "extra": {}}, UsageError, "extra; there are training, validation, test"),
        ("inputdataconfig", {"training": {"TrainingInputMode": "Pipe"}}, UsageError, "File and FastFile are read"),
        ("resourceconfig", {"hosts": ["algo-1", "algo-2"]}, DataError, "with current_host among them"),
        ("resourceconfig", {"hosts": "algo-1", "current_host": "algo-1"}, DataError, "expected names in hosts"),
    ],
)
def test_what_a_job_cannot_have_is_named(
    name: str, content: Any, kind: type[Exception], said: str, job: Layout
) -> None:
    write(job.prefix, name, content)
    with pytest.raises(kind, match=said):
        job.run_config()


def test_hosting_sets_port_and_time_limit() -> None:
    plain = serving_config({})
    assert (plain.host, plain.port) == ("0.0.0.0", 8080)  # noqa: S104
    changed = serving_config({"SAGEMAKER_BIND_TO_PORT": "9000", "SAGEMAKER_MODEL_SERVER_TIMEOUT": "60"})
    assert (changed.port, changed.answer_timeout) == (9000, 60)
    with pytest.raises(UsageError, match="port"):
        serving_config({"SAGEMAKER_BIND_TO_PORT": "many"})
