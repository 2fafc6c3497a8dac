"""`boxwright rules`, `validate` and `convert` as a user meets them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import hotcoco
import pytest
import tinyset
from seaweed import Seaweed

from boxwright.cli import app as cli
from boxwright.cli import dataset as commands
from boxwright.dataset.annotations.reading import load_annotations
from boxwright.dataset.validation.rules import RULES


@pytest.fixture
def boxwright(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command line in this process: (exit code, stdout, stderr)."""

    def run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["boxwright", *map(str, arguments)])
        monkeypatch.setattr(commands.out, "width", 300)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def broken(folder: Path) -> Path:
    content = tinyset.document(20)
    content["annotations"][5]["bbox"] = [9, 9, 9, 9]
    content["images"][3]["flag"] = 1
    return tinyset.write(folder, content)


def test_rules(boxwright: Any) -> None:
    code, printed, _ = boxwright("rules")
    assert code == 0 and all(name in printed for name in RULES)
    rows = json.loads(boxwright("rules", "--json")[1])
    assert [row["name"] for row in rows] == list(RULES)
    assert next(row for row in rows if row["name"] == "box_too_small")["setting"] == "small_box_pixels"


def test_a_good_dataset(boxwright: Any, tmp_path: Path) -> None:
    code, printed, _ = boxwright("validate", tinyset.write(tmp_path / "set"))
    assert code == 0 and "3 images, 6 boxes" in printed and "usable (0 errors, 0 warnings)" in printed


def test_a_bad_one_is_told_line_by_line(boxwright: Any, tmp_path: Path) -> None:
    code, printed, error = boxwright("validate", broken(tmp_path / "set"), "--report", tmp_path / "report")
    assert code == 1 and "error: dataset: 1 bad record" in error
    assert "error training: annotations[5] of 'p2.jpg': box_without_area, got [9, 9, 9, 9]" in printed
    assert "warning training: images[3] of 'p3.png': unknown_key" in printed or "images[3]: unknown_key" in printed
    report = json.loads((tmp_path / "report" / "validation_report.json").read_text())
    assert report["ok"] is False and (tmp_path / "report" / "data_docs" / "index.html").exists()
    assert (tmp_path / "report" / "great_expectations.json").exists()
    assert "box_without_area" in (tmp_path / "report" / "validation_report.html").read_text()


def test_a_setting_has_the_name_that_runs_have(boxwright: Any, tmp_path: Path) -> None:
    folder = broken(tmp_path / "set")
    for name in ("validation_severities", "severities"):
        code, printed, _ = boxwright("validate", folder, "--set", f"{name}=box_without_area=off")
        assert "unknown_key" in printed and "box_without_area" not in printed
    code, _, errors = boxwright("validate", folder, "--set", "validation_severity=box_without_area=off")
    assert (code, "did you mean validation_severities?" in errors) == (2, True)


def test_images_are_checked_on_demand(boxwright: Any, tmp_path: Path) -> None:
    folder = tinyset.write(tmp_path / "set")
    victim = next((folder / "images").iterdir())
    victim.write_bytes(victim.read_bytes()[:60])
    assert boxwright("validate", folder)[0] == 0
    code, printed, error = boxwright("validate", folder, "--images", "--report", tmp_path / "report")
    assert code == 1 and "error: dataset: 1 bad record" in error
    assert "image_undecodable" in printed and victim.name in printed
    assert "image_undecodable" in (tmp_path / "report" / "validation_report.html").read_text()
    assert (tmp_path / "report" / "data_docs" / "index.html").exists()


def test_an_error_in_the_annotations_keeps_no_image_from_being_checked(boxwright: Any, tmp_path: Path) -> None:
    content = tinyset.document(6)
    content["annotations"][1]["bbox"] = [9, 9, 9, 9]
    content["images"][5]["width"] = "40"
    folder = tinyset.write(tmp_path / "set", content | {"images": content["images"][:5]})
    (folder / "annotations.json").write_text(json.dumps(content))
    images = folder / "images"
    (images / "p2.jpg").write_bytes((images / "p2.jpg").read_bytes()[:60])
    (images / "p3.png").write_bytes(b"")
    (images / "p4.jpg").unlink()
    code, printed, error = boxwright("validate", folder, "--images", "--report", tmp_path / "report")
    assert code == 1 and "5 bad records" in error
    for place in ("images[5]", "annotations[1] of 'p0.jpg'", "images[2] of 'p2.jpg'", "images[3]", "images[4]"):
        assert sum(f"error training: {place}" in line for line in printed.splitlines()) == 1, place
    assert "3 images checked" in printed and "3 images were not checked" in printed
    report = json.loads((tmp_path / "report" / "validation_report.json").read_text())
    assert {found["rule"] for found in report["findings"]} >= {"box_without_area", "image_undecodable", "image_missing"}
    assert "image_undecodable" in (tmp_path / "report" / "validation_report.html").read_text()


def test_json_is_the_report_and_nothing_else(boxwright: Any, tmp_path: Path) -> None:
    code, printed, _ = boxwright("validate", broken(tmp_path / "set"), "--json", "--on-invalid", "drop")
    report = json.loads(printed)
    assert code == 0 and report["ok"] and [record["index"] for record in report["dropped"]] == [5]


@pytest.mark.parametrize("names", [("training", "validation", "test"), ("train", "val", "test")])
def test_splits_below_a_bucket(boxwright: Any, tmp_path: Path, s3: Seaweed, names: tuple[str, ...]) -> None:
    for number, name in enumerate(names):
        tinyset.write(tmp_path / "set" / name, tinyset.document(3, first=10 * number), "labels.json")
    uri = s3.make_bucket(f"commands-{names[0]}")
    s3.put_tree(tmp_path / "set", f"{uri}/p")
    code, printed, _ = boxwright("validate", f"{uri}/p", "--annotations-file", "labels.json", "--json")
    assert code == 0
    assert {split: facts["annotations"] for split, facts in json.loads(printed)["splits"].items()} == {
        split: f"{uri}/p/{name}/labels.json"
        for split, name in zip(("training", "validation", "test"), names, strict=True)
    }


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 1, ["nowhere/annotations.json does not exist"]),
        (["s3://no-such-bucket/p"], 2, ["no-such-bucket"]),
        (["ftp://host/p"], 2, ["ftp:// is not supported"]),
        (["nowhere", "--bbox-format", "yolo"], 2, ["bbox_format='yolo'", "coco"]),
        (["nowhere", "--set", "small_box=3"], 2, ["small_box", "small_box_pixels"]),
        (
            ["nowhere", "--set", "severities=box_to_small=off"],
            2,
            ["is not a rule (did you mean box_too_small?)"],
        ),
    ],
)
def test_mistakes(boxwright: Any, s3: Seaweed, arguments: list[str], code: int, words: list[str]) -> None:
    got, _, error = boxwright("validate", *arguments)
    assert got == code and "Traceback" not in error
    assert all(word in error for word in words), error


def test_a_server_that_does_not_answer(boxwright: Any, s3: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert boxwright("validate", "s3://bucket/p")[0] == 4


def coco_file(folder: Path) -> Path:
    """A COCO set of the pictures in `folder`/images."""
    content = json.loads((folder / "annotations.json").read_text())
    for number, box in enumerate(content["annotations"]):
        xmin, ymin, xmax, ymax = box["bbox"]
        box |= {"id": number + 1, "bbox": [xmin, ymin, xmax - xmin, ymax - ymin], "area": 1.0, "iscrowd": 0}
    content["annotations"].append(content["annotations"][0] | {"id": 99, "iscrowd": 1, "bbox": [0, 0, 30, 28]})
    (folder / "coco.json").write_text(json.dumps(content))
    return folder / "coco.json"


def as_voc(folder: Path) -> Path:
    hotcoco.COCO(str(coco_file(folder))).to_voc(str(folder / "voc"))
    (folder / "images").rename(folder / "voc" / "JPEGImages")
    return folder / "voc"


def as_yolo(folder: Path) -> Path:
    hotcoco.COCO(str(coco_file(folder))).to_yolo(str(folder / "flat"))
    labels = folder / "yolo" / "labels"
    labels.mkdir(parents=True)
    for path in (folder / "flat").iterdir():
        path.rename((labels.parent if path.suffix == ".yaml" else labels) / path.name)
    (folder / "images").rename(folder / "yolo" / "images")
    return folder / "yolo"


@pytest.mark.parametrize(("kind", "make"), [("coco", coco_file), ("voc", as_voc), ("yolo", as_yolo)])
def test_converted_sets_are_valid_and_have_the_same_boxes(boxwright: Any, tmp_path: Path, kind: str, make: Any) -> None:
    source = make(tinyset.write(tmp_path / "seed"))
    code, printed, error = boxwright("convert", source, tmp_path / "out", "--from", kind)
    assert (code, error) == (0, "") and "3 images" in printed and "cat, dog" in printed
    found = load_annotations(tmp_path / "out" / "annotations.json")
    assert sorted(image.file_name for image in found.images) == ["p0.jpg", "p1.png", "p2.jpg"]
    boxes = {(found.categories[box.category_id], tuple(round(value) for value in box.bbox)) for box in found.boxes[:6]}
    # hotcoco writes a crowd as VOC's "difficult" object, and reads that as one; YOLO has no such word.
    assert sum(box.crowd for box in found.boxes) == (kind in ("coco", "voc"))
    assert {("cat", (1, 2, 20, 25))} < boxes and {name for name, _ in boxes} == {"cat", "dog"}
    assert boxwright("validate", tmp_path / "out")[0] == 0


def test_the_account_of_a_conversion(boxwright: Any, tmp_path: Path) -> None:
    source = coco_file(tinyset.write(tmp_path / "seed"))
    document = json.loads(source.read_text())
    document["annotations"][1]["bbox"] = None
    source.write_text(json.dumps(document))
    code, printed, error = boxwright("convert", source, tmp_path / "strict", "--strict")
    assert code == 1 and "annotations[1]: no bbox and no segmentation" in error and not (tmp_path / "strict").exists()
    code, printed, _ = boxwright("convert", source, tmp_path / "out")
    assert code == 0 and "recognised: coco, as coco.json has lists" in printed
    assert "left out (1): no bbox and no segmentation [1 box less]: coco.json: annotations[1]" in printed
    account = json.loads(boxwright("convert", source, tmp_path / "json", "--json")[1])
    assert (account["in"]["boxes"], account["out"]["boxes"], account["splits"]) == (7, 6, {"": 3})
    assert account["remarks"][0]["places"] == ["coco.json: annotations[1]"]


def test_convert_mistakes(boxwright: Any, tmp_path: Path) -> None:
    source = coco_file(tinyset.write(tmp_path / "seed"))
    (empty := tmp_path / "empty").mkdir()
    for arguments, code, words in [
        ((source, tmp_path / "out", "--from", "xlsx"), 2, "coco, voc, yolo"),
        ((tmp_path / "nowhere", tmp_path / "out", "--from", "coco"), 2, "nowhere does not exist"),
        ((source, tmp_path / "seed", "--from", "coco"), 2, "new or empty folder"),
        ((source, tmp_path / "out", "--from", "coco", "--images", empty), 1, "p0.jpg does not exist"),
        ((source, tmp_path / "out", "--images", tmp_path / "no"), 2, "no is not a folder"),
        ((empty, tmp_path / "out"), 2, "not recognised as any of coco, voc, yolo"),
    ]:
        got, _, error = boxwright("convert", *arguments)
        assert (got, words in error) == (code, True), error
    (tmp_path / "seed" / "bad.json").write_text('{"images": [')
    got, _, error = boxwright("convert", tmp_path / "seed" / "bad.json", tmp_path / "out", "--from", "coco")
    assert got == 1 and "bad.json: not JSON at line 1" in error and not (tmp_path / "out").exists()
