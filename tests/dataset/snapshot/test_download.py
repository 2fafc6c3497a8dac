from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tinyset
from seaweed import Seaweed

from boxwright.config import RunConfig, parse_config
from boxwright.dataset.annotations.reading import load_annotations
from boxwright.dataset.snapshot.download import download_dataset
from boxwright.dataset.validation.findings import Dropped, Finding, Report
from boxwright.dataset.validation.rules import RULES
from boxwright.errors import DataError


def config(training: Path | str, **others: Any) -> RunConfig:
    return parse_config({"training": str(training), "output": "unused", **{k: str(v) for k, v in others.items()}})


def test_the_dataset_folder(tmp_path: Path) -> None:
    content = tinyset.document()
    content["images"][2]["file_name"] = "deep/näme.jpg"
    source = tinyset.write(tmp_path / "set", content)
    (source / "images" / "unnamed.jpg").write_bytes(b"not in the annotations")
    validation = tinyset.document(2, first=50)
    del validation["categories"]
    validation["annotations"] = validation["annotations"][:1]
    tinyset.write(tmp_path / "other", validation)
    summary = download_dataset(config(source, validation=tmp_path / "other"), tmp_path / "out")

    assert summary.splits == {"training": {"images": 3, "boxes": 6}, "validation": {"images": 2, "boxes": 1}}
    assert (summary.classes, summary.category_ids) == (("cat", "dog"), (3, 7))
    assert json.loads((tmp_path / "out" / "dataset.json").read_text()) == {
        "fingerprint": summary.fingerprint,
        "splits": summary.splits,
        "classes": ["cat", "dog"],
        "category_ids": [3, 7],
    }
    for split, folder in (("training", source), ("validation", tmp_path / "other")):
        found = load_annotations(tmp_path / "out" / split / "annotations.json")
        assert found.categories == {3: "cat", 7: "dog"}
        for image in found.images:
            copy = tmp_path / "out" / split / "images" / image.file_name
            assert copy.read_bytes() == (folder / "images" / image.file_name).read_bytes()
    files = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert "unnamed.jpg" not in files and not any(name.endswith(".part") for name in files)


def test_the_fingerprint_is_of_the_content_not_of_the_place(tmp_path: Path, s3: Seaweed) -> None:
    source = tinyset.write(tmp_path / "set")
    uri = s3.make_bucket("fingerprint")
    s3.put_tree(source, f"{uri}/p")
    local = download_dataset(config(source), tmp_path / "a")
    remote = download_dataset(config(f"{uri}/p/"), tmp_path / "b")
    assert local == remote
    assert (tmp_path / "a" / "dataset.json").read_bytes() == (tmp_path / "b" / "dataset.json").read_bytes()

    tinyset.picture(99).save(source / "images" / "p0.jpg")
    other_image = download_dataset(config(source), tmp_path / "c")
    content = tinyset.document()
    content["annotations"][0]["bbox"][0] += 0.5
    tinyset.write(source, content)
    other_box = download_dataset(config(source), tmp_path / "d")
    assert len({local.fingerprint, other_image.fingerprint, other_box.fingerprint}) == 3


def manifest_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("versions", [False, True])
def test_the_manifest_tells_what_was_listed_and_what_came(tmp_path: Path, s3: Seaweed, versions: bool) -> None:
    bucket = f"manifest-{versions}".lower()
    uri = s3.make_bucket(bucket)
    if versions:
        s3.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    source = tinyset.write(tmp_path / "set")
    (source / "images" / ("n" * 250)).write_bytes(b"not in the annotations")
    s3.put_tree(source, f"{uri}/p")
    s3.put_tree(source, f"{uri}/p")  # where there are versions, each file has two
    download_dataset(config(f"{uri}/p"), tmp_path / "out")
    first, annotations, *images = manifest_of(tmp_path / "out")
    assert first == {"split": "training", "source": f"{uri}/p", "unused": 1}
    assert annotations["key"] == "annotations.json" and annotations["size"] > 100
    used = {line["key"]: line for line in images if "sha256" in line}
    assert set(used) == {"images/p0.jpg", "images/p1.png", "images/p2.jpg"} and len(images) == 4
    for key, line in used.items():
        data = (source / key).read_bytes()
        assert (line["size"], line["etag"]) == (len(data), hashlib.md5(data).hexdigest())
        assert line["sha256"] == hashlib.sha256(data).hexdigest() and line["modified"].endswith("Z")
        assert bool(line["version"]) == versions
    assert not list((tmp_path / "out").rglob("n" * 250))


def test_a_second_call_uses_what_is_there(tmp_path: Path) -> None:
    source = tinyset.write(tmp_path / "set")
    first = download_dataset(config(source), tmp_path / "out")
    (tmp_path / "out" / "dataset.json").unlink()
    kept = tmp_path / "out" / "training" / "images" / "p1.png"
    inode = kept.stat().st_ino
    cut = tmp_path / "out" / "training" / "images" / "p0.jpg"
    cut.write_bytes(cut.read_bytes()[:100])
    assert download_dataset(config(source), tmp_path / "out") == first
    assert kept.stat().st_ino == inode


def test_all_bad_images_of_all_splits_are_named_at_once(tmp_path: Path) -> None:
    source, other = tinyset.write(tmp_path / "set"), tinyset.write(tmp_path / "other", tinyset.document(first=50))
    cut = source / "images" / "p0.jpg"
    cut.write_bytes(cut.read_bytes()[:-300])
    (source / "images" / "p1.png").unlink()
    tinyset.picture(0, 20, 20).save(other / "images" / "p52.jpg")
    with pytest.raises(DataError) as caught:
        download_dataset(config(source, test=other), tmp_path / "out")
    text = str(caught.value)
    assert "3 bad records" in text and "\n" not in text
    assert "training: images[0] of 'p0.jpg': image_undecodable, got 'broken or truncated" in text
    assert "training: images[1] of 'p1.png': image_missing" in text
    assert "test: images[2] of 'p52.jpg': image_size_mismatch, got '20 x 20 in the file, 40 x 30 declared'" in text
    assert not (tmp_path / "out" / "dataset.json").exists()


def report_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "validation_report.json").read_text())


def test_a_clean_set_has_a_report_without_findings(tmp_path: Path) -> None:
    summary = download_dataset(config(tinyset.write(tmp_path / "set")), tmp_path / "out")
    report = report_of(tmp_path / "out")
    assert (report["ok"], report["findings"], report["dropped"]) == (True, [], [])
    assert report["fingerprint"] == summary.fingerprint
    checked = {name: rule["checked"] for name, rule in report["rules"].items() if "image" in name and rule["checked"]}
    assert set(checked.values()) == {3} and {"image_undecodable", "duplicate_image_across_splits"} <= set(checked)
    page = (tmp_path / "out" / "validation_report.html").read_text()
    assert summary.fingerprint in page and "can be trained on" in page


def test_the_report_goes_on_from_the_one_of_the_annotations(tmp_path: Path) -> None:
    source = tinyset.write(tmp_path / "set")
    tinyset.picture(10).convert("L").save(source / "images" / "p0.jpg")
    before = Report.start(RULES, {"on_invalid": "fail"})
    before.splits["training"] = {"annotations": str(source / "annotations.json"), "bbox_format": "corners", "images": 3}
    before.add(Finding("box_too_small", "warning", "training", "annotations", 1, "p0.jpg", [1, 2, 3, 4], "look"))
    before.write(tmp_path / "before.json")
    download_dataset(config(source), tmp_path / "out", tmp_path / "before.json")
    report = report_of(tmp_path / "out")
    found = [(one["rule"], one["severity"], one["split"], one["index"], one["file"]) for one in report["findings"]]
    assert found == [
        ("box_too_small", "warning", "training", 1, "p0.jpg"),
        ("image_grayscale", "warning", "training", 0, "p0.jpg"),
    ]
    assert report["ok"] and report["splits"]["training"]["images"] == 3


def test_an_image_in_two_splits_is_leakage(tmp_path: Path) -> None:
    source, other = tinyset.write(tmp_path / "set"), tinyset.write(tmp_path / "other", tinyset.document(first=50))
    shutil.copy(source / "images" / "p1.png", other / "images" / "p51.png")
    with pytest.raises(DataError, match="1 bad record: test: images.1. of 'p51.png': duplicate_image_across_splits"):
        download_dataset(config(source, test=other), tmp_path / "out")
    report = report_of(tmp_path / "out")
    assert report["fingerprint"] is None and not report["ok"]
    assert [one["value"] for one in report["findings"]] == ["training: images[1] 'p1.png'"]
    assert (tmp_path / "out" / "validation_report.html").exists()
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_an_image_twice_in_a_split_is_a_warning(tmp_path: Path) -> None:
    source = tinyset.write(tmp_path / "set")
    shutil.copy(source / "images" / "p0.jpg", source / "images" / "p2.jpg")
    download_dataset(config(source), tmp_path / "out")
    (found,) = report_of(tmp_path / "out")["findings"]
    assert (found["rule"], found["severity"], found["index"]) == ("duplicate_image_within_split", "warning", 2)


def dropping(**settings: Any) -> dict[str, Any]:
    return {"data_validation": {"on_invalid": "drop", "max_drop_share": 0.4, **settings}}


def test_bad_images_are_dropped_with_their_boxes(tmp_path: Path) -> None:
    source, other = tinyset.write(tmp_path / "set"), tinyset.write(tmp_path / "other", tinyset.document(first=50))
    (source / "images" / "p1.png").write_bytes(b"broken")
    shutil.copy(source / "images" / "p2.jpg", other / "images" / "p50.jpg")
    run = parse_config({"training": str(source), "test": str(other), "output": "unused", **dropping()})
    summary = download_dataset(run, tmp_path / "out")
    assert summary.splits == {"training": {"images": 2, "boxes": 4}, "test": {"images": 2, "boxes": 4}}
    for split, names in (("training", ["p0.jpg", "p2.jpg"]), ("test", ["p51.png", "p52.jpg"])):
        kept = load_annotations(tmp_path / "out" / split / "annotations.json")
        assert [image.file_name for image in kept.images] == names
        assert {box.image_id for box in kept.boxes} == {image.id for image in kept.images}
    report = report_of(tmp_path / "out")
    assert report["ok"] and report["fingerprint"] == summary.fingerprint
    assert [(one["split"], one["list"], one["index"], one["reason"]) for one in report["dropped"]] == [
        ("training", "images", 1, "image_undecodable"),
        ("training", "annotations", 2, "images[1] is dropped"),
        ("training", "annotations", 3, "images[1] is dropped"),
        ("test", "images", 0, "duplicate_image_across_splits"),
        ("test", "annotations", 0, "images[0] is dropped"),
        ("test", "annotations", 1, "images[0] is dropped"),
    ]


def test_indices_are_those_of_the_file_after_an_earlier_drop(tmp_path: Path) -> None:
    source = tinyset.write(tmp_path / "set", tinyset.document(6))
    before = Report.start(RULES, {})
    before.splits["training"] = {
        "annotations": str(source / "annotations.json"), "bbox_format": "corners", "images": 6, "boxes": 12
    }  # fmt: skip
    before.drop([Dropped("training", "images", 1, "p1.png", "x"), Dropped("training", "annotations", 2, "p1.png", "x")])
    before.drop([Dropped("training", "annotations", 3, "p1.png", "x")])
    before.write(tmp_path / "before.json")
    (source / "images" / "p4.jpg").write_bytes(b"broken")
    run = parse_config({"training": str(source), "output": "unused", **dropping()})
    assert download_dataset(run, tmp_path / "out", tmp_path / "before.json").splits["training"]["images"] == 4
    report = report_of(tmp_path / "out")
    assert [(one["index"], one["file"]) for one in report["findings"]] == [(4, "p4.jpg")]
    assert [(one["list"], one["index"]) for one in report["dropped"][3:]] == [
        ("images", 4),
        ("annotations", 8),
        ("annotations", 9),
    ]


def test_too_many_bad_images_end_the_run(tmp_path: Path) -> None:
    source = tinyset.write(tmp_path / "set")
    (source / "images" / "p1.png").write_bytes(b"broken")
    run = parse_config({"training": str(source), "output": "unused", **dropping(max_drop_share=0.3)})
    with pytest.raises(DataError, match="too_much_dropped"):
        download_dataset(run, tmp_path / "out")
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_a_rule_can_be_turned_off(tmp_path: Path) -> None:
    source = tinyset.write(tmp_path / "set")
    shutil.copy(source / "images" / "p0.jpg", source / "images" / "p2.jpg")
    off = {"severities": {"duplicate_image_within_split": "off"}}
    run = parse_config({"training": str(source), "output": "unused", "data_validation": off})
    download_dataset(run, tmp_path / "out")
    assert report_of(tmp_path / "out")["findings"] == []


def test_classes_must_agree(tmp_path: Path) -> None:
    other = tinyset.document()
    other["categories"].append({"id": 9, "name": "cow"})
    run = config(tinyset.write(tmp_path / "a"), test=tinyset.write(tmp_path / "b", other))
    with pytest.raises(DataError, match="cow"):
        download_dataset(run, tmp_path / "out")


def test_training_needs_a_box(tmp_path: Path) -> None:
    source = tinyset.write(tmp_path / "set", {**tinyset.document(), "annotations": []})
    with pytest.raises(DataError, match="no box"):
        download_dataset(config(source), tmp_path / "out")


def test_blood_cells_from_s3(tmp_path: Path, s3: Seaweed, bccd: Path) -> None:
    uri = s3.make_bucket("bccd")
    s3.put_tree(bccd / "validation", f"{uri}/cells")
    run = {"annotations_file": "annotations.clean.json"}
    seen: list[tuple[int, int]] = []
    remote = download_dataset(
        config(f"{uri}/cells/", **run), tmp_path / "remote", on_progress=lambda done, total: seen.append((done, total))
    )
    shutil.copytree(bccd / "validation", tmp_path / "copy")
    assert remote == download_dataset(config(tmp_path / "copy", **run), tmp_path / "local")
    assert remote.splits == {"training": {"images": 87, "boxes": 1137}} and seen[-1] == (87, 87)
    assert remote.classes == ("Platelets", "RBC", "WBC")
