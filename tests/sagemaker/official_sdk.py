"""What SageMaker's own SDK makes of an estimator: `python official_sdk.py FOLDER HOSTS` in an environment that has it.

Nothing is asked of AWS. Writes the files that local mode puts into each container, below FOLDER, and prints as JSON
what a training job and a tuning job would send.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3
from sagemaker import Session
from sagemaker.estimator import Estimator, _TrainingJob
from sagemaker.local.image import _SageMakerContainer
from sagemaker.modules.utils import safe_serialize
from sagemaker.tuner import CategoricalParameter, ContinuousParameter, HyperparameterTuner

# As the sample notebook of the managed algorithm has them.
METRICS = [
    {"Name": "validation:localization_loss", "Regex": r"Val_localization=([0-9\.]+)"},
    {"Name": "validation:classification_loss", "Regex": r"Val_classification=([0-9\.]+)"},
    {"Name": "training:loss", "Regex": r"loss=([0-9\.]+)."},
]
GIVEN = {
    "epochs": 1, "batch_size": "4", "learning_rate": 1e-05, "optimizer": "sgd", "early_stopping": True,
    "train_only_on_top_layer": "False", "model_id": "speck", "image_size": 64, "gate_min_ap50": 0.0,
    "gate_classes_told_apart": False, "export_formats": "saved_model",
    "gate_min_ap50_per_class": {"bolt": 0.0, "nut": 0.0},
}  # fmt: skip


def main(folder: Path, hosts: int) -> None:
    """Writes the files of each host below `folder`, and prints what is sent."""
    boto = boto3.Session("none", "none", region_name="eu-west-1")
    estimator = Estimator(
        "image", "arn:aws:iam::000000000000:role/none", hosts, "ml.m5.xlarge", hyperparameters=GIVEN,
        metric_definitions=METRICS, sagemaker_session=Session(boto), output_path="s3://bucket/out",
    )  # fmt: skip
    estimator._prepare_for_training()
    sent = _TrainingJob.get_train_args(estimator, {"training": "s3://bucket/set"}, None)

    container = _SageMakerContainer.__new__(_SageMakerContainer)
    container.container_root, container.instance_type = str(folder), "local"
    container.hosts = [f"algo-{number + 1}" for number in range(hosts)]
    for host in container.hosts:
        (folder / host / "input" / "config").mkdir(parents=True)
        container.write_config_files(host, sent["hyperparameters"], sent["input_config"])

    tuner = HyperparameterTuner(
        estimator, "validation:localization_loss",
        {"learning_rate": ContinuousParameter(1e-6, 0.5), "optimizer": CategoricalParameter(["adam", "sgd"])},
        METRICS, objective_type="Minimize",
    )  # fmt: skip
    tuner._prepare_for_tuning("job", True)
    told = {
        "metrics": sent["metric_definitions"],
        "static": tuner.static_hyperparameters,
        "ranges": tuner.hyperparameter_ranges(),
        "trainer": {name: safe_serialize(value) for name, value in GIVEN.items()},
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
