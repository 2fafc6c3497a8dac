"""Every family against the original's numbers, from a zoo archive through the weights store."""

from __future__ import annotations

import io
import tarfile

import pytest

from benchmarks.zoo import compare, reference_of
from benchmarks.zoo_reference import write_checkpoint
from boxwright.model.catalogue import MODELS
from boxwright.model.weights.store import fetch, find_manifest, put

MANAGED = [spec for spec in MODELS.values() if spec.model_id.startswith("tensorflow-od1-")]
# One of each family with a golden; `python -m benchmarks.zoo` holds the larger ones as well.
COMPARED = [
    "tensorflow-od1-ssd-mobilenet-v2-fpnlite-320x320-coco17-tpu-8",
    "tensorflow-od1-ssd-efficientdet-d0-512x512-coco17-tpu-8",
    "tensorflow-od1-ssd-resnet50-v1-fpn-640x640-coco17-tpu-8",
]


def zoo_archive(spec, folder):
    """An archive as the zoo publishes them, with the reference's values."""
    reference = reference_of(spec)
    write_checkpoint(folder / "checkpoint" / "ckpt-0", reference.values())
    (folder / "checkpoint" / "checkpoint").write_text('model_checkpoint_path: "ckpt-0"\n')
    text = f"model {{\n{reference.facts['repo_model_config_text']}}}\n"
    (folder / "pipeline.config").write_text(
        text.replace("_scale: 10.0", "_scale: 1.0").replace("_scale: 5.0", "_scale: 1.0")
    )
    archive = folder / spec.weights.name
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name in ("checkpoint", "pipeline.config"):
            tar.add(folder / name, f"{reference.archive}/{name}")
        graph = tarfile.TarInfo(f"{reference.archive}/saved_model/saved_model.pb")
        graph.size = 3_000_000
        tar.addfile(graph, io.BytesIO(bytes(graph.size)))
    return archive


@pytest.mark.parametrize("model_id", COMPARED)
def test_an_imported_archive_gives_the_originals_numbers_at_every_stage(model_id, odapi, tmp_path):
    from boxwright.model.zoo.architecture import COCO_CLASSES
    from boxwright.model.zoo.detector import ZooDetector
    from boxwright.model.zoo.importing import convert_archive

    spec = MODELS[model_id]
    reference, store = reference_of(spec), str(tmp_path / "store")
    manifest = convert_archive(spec, zoo_archive(spec, tmp_path), tmp_path / "work")
    assert manifest.variables == len(reference.shapes())
    put(store, tmp_path / "work", manifest)
    fetch(store, find_manifest(store), tmp_path / "fetched")

    detector = ZooDetector(spec, COCO_CLASSES, spec.image_size)
    detector.load_pretrained(tmp_path / "fetched")
    # The archive's own configuration decides; for SSD the goldens were made with the published one.
    assert list(detector.box_code.scales.numpy()) == [1.0] * 4
    if not detector.architecture.keep_aspect:
        detector.box_code.scales.assign(detector.architecture.box_scales)
    checks = compare(detector, reference)
    assert len(checks) > 40
    assert [check for check in checks if not check.holds] == []


# Input sizes do not change the variables.
@pytest.mark.parametrize(
    "spec", {spec.architecture["backbone"]: spec for spec in MANAGED}.values(), ids=lambda s: s.model_id
)
def test_every_variable_of_a_published_checkpoint_is_accounted_for(spec, odapi):
    from boxwright.model.zoo.architecture import COCO_CLASSES
    from boxwright.model.zoo.detector import ZooDetector
    from boxwright.model.zoo.weights import checkpoint_shapes

    detector = ZooDetector(spec, COCO_CLASSES, 256)
    assert detector.count_params() == spec.parameters
    used, unused = checkpoint_shapes(detector)
    same_network = [other for other in MANAGED if other.architecture == spec.architecture]
    for reference in map(reference_of, same_network):
        assert {**used, **unused} == reference.shapes()


def test_the_managed_models_are_the_references_thirteen(odapi):
    assert sorted(reference_of(spec).archive for spec in MANAGED) == sorted(path.stem for path in odapi.glob("*.json"))
    for spec in MANAGED:
        assert reference_of(spec).facts["input_size"] == spec.image_size
