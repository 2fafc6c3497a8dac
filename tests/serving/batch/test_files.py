"""`boxwright predict` on files, folders and buckets; and the same in shards that may be repeated."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import seaweed
from finder import encoded, scene
from PIL import Image

from boxwright.cli import app as cli
from boxwright.config import BatchInferenceConfig, ServingConfig, parse_record
from boxwright.config.settings import Settings
from boxwright.errors import DataError, UsageError
from boxwright.serving.batch import files
from boxwright.serving.batch import steps as batch
from boxwright.serving.batch.files import images_at, record
from boxwright.serving.batch.steps import plan_batch, predict_shard, write_manifest

RUN = "manual__2026-01-05T03:00:00+00:00"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four images, two of them bad, and a file that is none."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(encoded(scene()))
    (folder / "b.JPEG").write_bytes(encoded(scene())[:400])
    (folder / "c.png").write_bytes(b"no image")
    (folder / "more" / "a.png").write_bytes(encoded(scene(400, 300), "PNG"))
    (folder / "notes.txt").write_text("not looked at")
    return folder


@pytest.fixture
def boxwright(finder: Path, home: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `boxwright predict`: (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        command = ["boxwright", "predict", "--model", str(finder), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_predict_tells_what_it_sees_and_names_what_it_cannot(photos: Path, boxwright: Any) -> None:
    code, out, err = boxwright(photos, photos / "a.jpg")
    assert code == 6
    assert "red thing" in out and "blue" not in out  # below the model's threshold
    assert out.count("1 found") == 2
    assert "b.JPEG" in err and "c.png" in err and "2 of 4 images could not be processed" in err
    assert boxwright(photos / "a.jpg")[0] == 0


def test_predict_json_gives_coco_results_a_line(photos: Path, boxwright: Any) -> None:
    code, out, _ = boxwright(photos / "more", photos / "c.png", "--json", "--threshold", "0.1")
    assert code == 6
    first, second = (json.loads(line) for line in out.splitlines())
    assert (first["width"], first["height"]) == (400, 300)
    red, blue = first["detections"]
    assert (red["category_id"], red["label"], red["score"], red["image_id"]) == (7, "red thing", 0.9, 1)
    assert red["bbox"] == pytest.approx([40, 30, 120, 90], abs=0.01)
    assert blue["bbox"] == pytest.approx([220, 150, 160, 120], abs=0.01)
    assert second == {"image_id": 2, "file_name": str(photos / "c.png"), "error": second["error"]}


def test_predict_draws_one_picture_an_image(photos: Path, boxwright: Any, tmp_path: Path) -> None:
    boxwright(photos, "--draw", tmp_path / "drawn")
    drawn = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert drawn == ["a-2.png", "a.png"]
    assert Image.open(tmp_path / "drawn" / "a-2.png").size == (400, 300)


def test_predict_says_what_is_wrong(photos: Path, boxwright: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = boxwright(tmp_path / "empty")
    assert code == 1 and ".jpg, .jpeg, .png" in err
    code, _, err = boxwright(photos / "a.jpg", "--model", "models:/nobody@champion")
    assert code == 2 and "no model nobody" in err
    assert "loading models:/nobody@champion" in err.splitlines()[0], "said before anything is loaded"
    code, _, err = boxwright(photos / "a.jpg", "--model", tmp_path / "nowhere.tar.gz")
    assert code == 1 and "nowhere.tar.gz" in err
    code, _, err = boxwright(tmp_path / "missing.jpg")
    assert code == 1 and "missing.jpg" in err


def test_a_bucket_is_read_like_a_folder(
    photos: Path, s3: seaweed.Seaweed, finder_archive: Path, boxwright: Any, tmp_path: Path
) -> None:
    uri = s3.make_bucket("predict")
    s3.put_tree(photos, f"{uri}/photos")
    s3.put_tree(finder_archive.parent, f"{uri}/models")
    assert images_at(f"{uri}/photos/") == [
        f"{uri}/photos/{name}" for name in ("a.jpg", "b.JPEG", "c.png", "more/a.png")
    ]
    assert images_at(f"{uri}/photos/a.jpg") == [f"{uri}/photos/a.jpg"]
    code, out, _ = boxwright(f"{uri}/photos/more/", "--json", "--model", f"{uri}/models/model.tar.gz")
    assert code == 0
    assert json.loads(out)["file_name"] == f"{uri}/photos/more/a.png"


def test_reading_ahead_keeps_order_and_bounds(finder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [(100 + i, 100) for i in range(21)]
    for i, size in enumerate(sizes):
        (tmp_path / f"{i:02d}.png").write_bytes(encoded(scene(*size), "PNG"))
    from boxwright.registry.open_model import resolve_model
    from boxwright.serving.engine.loading import load_predictor

    predictor = load_predictor(resolve_model(str(finder)))
    batches: list[int] = []
    predict = predictor.predict
    monkeypatch.setattr(predictor, "predict", lambda pictures: (batches.append(len(pictures)), predict(pictures))[1])
    looked = list(files.look_at(predictor, images_at(str(tmp_path)), limits(max_megapixels=1)))
    assert [(one.picture.width, one.picture.height) for one in looked if one.picture] == sizes
    assert batches == [8, 8, 5]
    batches.clear()
    assert len(list(files.look_at(predictor, images_at(str(tmp_path)), limits(max_megapixels=0.035)))) == 21
    assert max(batches) == 3 and sum(batches) == 21


def limits(**changes: float) -> ServingConfig:
    return parse_record(ServingConfig, changes)


def test_an_image_that_takes_too_long_costs_itself_alone(finder: Path, tmp_path: Path, endless: bytes) -> None:
    from boxwright.registry.open_model import resolve_model
    from boxwright.serving.engine.loading import load_predictor

    (tmp_path / "a.png").write_bytes(encoded(scene(), "PNG"))
    (tmp_path / "b.png").write_bytes(endless)
    (tmp_path / "c.png").write_bytes(encoded(scene(), "PNG"))
    predictor = load_predictor(resolve_model(str(finder)))
    quick = limits(decode_timeout=2.5)
    first, slow, last = files.look_at(predictor, images_at(str(tmp_path)), quick)
    assert isinstance(slow.result, DataError) and "was not decoded after 2.5 s" in str(slow.result)
    assert first.picture == last.picture is not None
    assert record(slow, 2, "b.png", predictor.info, 0.5)["error"] == str(slow.result)


@pytest.fixture
def config(photos: Path, finder_archive: Path, tmp_path: Path, home: Settings) -> BatchInferenceConfig:
    output = str(tmp_path / "out")
    return BatchInferenceConfig(images=str(photos), output=output, model=str(finder_archive), shard_images=3)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_prefix_becomes_shards_and_last_a_manifest(config: BatchInferenceConfig, tmp_path: Path) -> None:
    assert plan_batch(config, RUN).shards == 2
    folder = tmp_path / "out" / "manual__2026-01-05T03-00-00-00-00" / "detections"
    counts = [predict_shard(config, RUN, shard) for shard in range(2)]
    assert [(one["images"], one["detections"], one["errors"]) for one in counts] == [(3, 1, 2), (1, 1, 0)]
    assert not (folder / "manifest.json").exists()
    told = write_manifest(config, RUN)
    assert (told["images"], told["detections"], told["errors"]) == (4, 2, 2)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [one["file_name"] for one in manifest["failed"]] == ["b.JPEG", "c.png"]
    assert [one["file"] for one in manifest["shards"]] == [
        "detections-00000-of-00002.jsonl",
        "detections-00001-of-00002.jsonl",
    ]
    records = [line for one in manifest["shards"] for line in lines_of(folder / one["file"])]
    assert [(line["image_id"], line["file_name"]) for line in records] == [
        (1, "a.jpg"), (2, "b.JPEG"), (3, "c.png"), (4, "more/a.png")
    ]  # fmt: skip
    assert {one["image_id"] for line in records for one in line.get("detections", ())} == {1, 4}


def test_repeating_any_step_changes_nothing(
    config: BatchInferenceConfig, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_batch(config, RUN)
    (folder,) = (tmp_path / "out").glob("*/detections")
    predict_shard(config, RUN, 0)
    predict_shard(config, RUN, 1)
    write_manifest(config, RUN)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    # A new image does not enter a run that has begun, and a shard that is there needs no model.
    (photos / "0.jpg").write_bytes(encoded(scene()))
    (folder / "detections-00001-of-00002.jsonl").unlink()
    assert plan_batch(config, RUN).shards == 2
    predict_shard(config, RUN, 1)
    monkeypatch.setattr(batch, "load_predictor", lambda _: pytest.fail("the shard is there"))
    predict_shard(config, RUN, 0)
    write_manifest(config, RUN)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_model_that_moves_does_not_move_within_a_run(
    config: BatchInferenceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_batch(config, RUN)
    monkeypatch.setattr(batch, "resolve_model", lambda _: pytest.fail("it was resolved"))
    assert plan_batch(config, RUN).reference == config.model


def test_what_cannot_be_done_is_told(config: BatchInferenceConfig, photos: Path) -> None:
    with pytest.raises(DataError, match=r"plan\.json"):
        predict_shard(config, RUN, 0)
    plan_batch(config, RUN)
    with pytest.raises(UsageError, match="has 2, from 0"):
        predict_shard(config, RUN, 2)
    predict_shard(config, RUN, 0)
    with pytest.raises(DataError, match="1 of 2 shards are missing"):
        write_manifest(config, RUN)
    with pytest.raises(UsageError, match="other settings"):
        plan_batch(config.model_copy(update={"threshold": 0.1}), RUN)
    with pytest.raises(DataError, match="has no image"):
        plan_batch(config.model_copy(update={"images": str(photos / "nowhere")}), "other")


def test_a_prefix_of_bad_images_only_is_an_error(config: BatchInferenceConfig, photos: Path) -> None:
    (photos / "a.jpg").unlink()
    (photos / "more" / "a.png").unlink()
    plan_batch(config, RUN)
    predict_shard(config, RUN, 0)
    with pytest.raises(DataError, match="none of 2 images"):
        write_manifest(config, RUN)
