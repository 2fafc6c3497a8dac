"""Sets that leave in another format come back the same, and draws of splits keep together what belongs together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinyset
from foreign import YOLO_LINE, picture, write, yolo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from boxwright.dataset.annotations.reading import load_annotations
from boxwright.dataset.importing.conversion import ConvertOptions, convert_dataset
from boxwright.dataset.importing.output.export import EXPORTS, export_dataset
from boxwright.dataset.importing.output.splitting import near_pairs
from boxwright.errors import DataError, UsageError

NAMES = st.sampled_from(["bolt", "nuts & bolts", "<5mm", "driver's seat", "no", "007", "螺栓", "a: b", "#x", "écrou"])
FILES = st.sampled_from(["a.jpg", "b c.png", "d/e.jpg", "ü&.jpg", "x.y.png"])
SIDE = st.integers(0, 240).map(lambda number: number / 8)


@st.composite
def documents(draw: Any) -> dict[str, Any]:
    labels = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    images = [
        {"id": number * 7, "file_name": name, "width": 80, "height": 60}
        for number, name in enumerate(
            draw(
                st.lists(st.sampled_from(["a.jpg", "b c.png", "d/e.jpg", "ü&.jpg", "x.y.png"]), min_size=1, unique=True)
            )
        )
    ]
    boxes = []
    for image in images:
        for _ in range(draw(st.integers(0, 3))):
            left, top, width, height = (draw(SIDE) for _ in range(4))
            boxes.append(
                {
                    "image_id": image["id"],
                    "category_id": draw(st.integers(1, len(labels))),
                    "bbox": [left, top, left + width + 1, top + height / 2 + 1],
                }
                | ({"iscrowd": 1} if draw(st.booleans()) else {})
            )
    return {
        "images": images,
        "annotations": boxes,
        "categories": [{"id": i, "name": n} for i, n in enumerate(labels, 1)],
    }


def content(folder: Path, crowds: bool = True) -> dict[str, Any]:
    found = load_annotations(folder / "annotations.json")
    return {
        image.file_name: sorted(
            (found.categories[box.category_id], tuple(round(side, 3) for side in box.bbox), box.crowd)
            for box in found.boxes_by_image[image.id]
            if crowds or not box.crowd
        )
        for image in found.images
    }


@pytest.mark.parametrize("kind", EXPORTS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents())
def test_what_leaves_comes_back(tmp_path_factory: pytest.TempPathFactory, kind: str, document: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("trip")
    tinyset.write(folder / "set", document)
    account = export_dataset(folder / "set", folder / kind, kind)
    back = convert_dataset(folder / kind, folder / "back")
    keeps_crowds = kind != "yolo"
    assert content(folder / "back") == content(folder / "set", keeps_crowds)
    assert bool(account.losses) == (not keeps_crowds and any("iscrowd" in box for box in document["annotations"]))
    assert back.account.recognised.startswith(kind) and not back.account.losses


@pytest.mark.parametrize("kind", EXPORTS)
def test_splits_come_back(tmp_path: Path, kind: str) -> None:
    for number, split in enumerate(("training", "validation", "test")):
        tinyset.write(tmp_path / "set" / split, tinyset.document(2, first=10 * number))
    export_dataset(tmp_path / "set", tmp_path / kind, kind)
    convert_dataset(tmp_path / kind, tmp_path / "back")
    for split in ("training", "validation", "test"):
        assert content(tmp_path / "back" / split) == content(tmp_path / "set" / split)


def test_export_mistakes(tmp_path: Path) -> None:
    tinyset.write(tmp_path / "set")
    with pytest.raises(UsageError, match="expected one of coco, voc, yolo"):
        export_dataset(tmp_path / "set", tmp_path / "out", "csv")
    document = tinyset.document()
    document["annotations"][0]["iscrowd"] = 1
    tinyset.write(tmp_path / "crowd", document)
    with pytest.raises(DataError, match="YOLO has no word for a crowd"):
        export_dataset(tmp_path / "crowd", tmp_path / "out", "yolo", strict=True)
    (tmp_path / "set" / "images" / "p0.jpg").unlink()
    with pytest.raises(DataError, match="p0.jpg does not exist"):
        export_dataset(tmp_path / "set", tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()


def drawn(folder: Path, count: int) -> Path:
    for number in range(count):
        picture(folder / "images" / f"cam{number % 5}_{number:03}.png", number)
        write(folder / "labels" / f"cam{number % 5}_{number:03}.txt", YOLO_LINE)
    write(folder / "data.yaml", "names: [bolt]\n")
    return folder


def splits_of(out: Path) -> dict[str, set[str]]:
    return {split.name: {path.name for path in (split / "images").iterdir()} for split in sorted(out.iterdir())}


def test_drawn_splits_have_their_shares_and_are_the_same_again(tmp_path: Path) -> None:
    source = drawn(tmp_path / "set", 40)
    for out in ("a", "b"):
        convert_dataset(source, tmp_path / out, ConvertOptions(split="0.5,0.25,0.25"))
    found = splits_of(tmp_path / "a")
    assert found == splits_of(tmp_path / "b")
    assert {split: len(names) for split, names in found.items()} == {"training": 20, "validation": 10, "test": 10}


def test_groups_stay_together(tmp_path: Path) -> None:
    source = drawn(tmp_path / "set", 20)
    convert_dataset(source, tmp_path / "out", ConvertOptions(split="0.6,0.4", group_by=r"^(cam\d)_"))
    found = splits_of(tmp_path / "out")
    cameras = {split: {name[:4] for name in names} for split, names in found.items()}
    assert not cameras["training"] & cameras["validation"] and sum(map(len, cameras.values())) == 5


def test_near_duplicates_stay_together(tmp_path: Path) -> None:
    source = drawn(tmp_path / "set", 12)
    first = Image.open(source / "images" / "cam0_000.png")
    rng = np.random.default_rng(0)
    for number in range(6):
        noisy = np.clip(np.asarray(first, np.int16) + rng.integers(-3, 4, (120, 160, 3)), 0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(source / "images" / f"near{number}.jpg", quality=80 + number)
    convert_dataset(source, tmp_path / "out", ConvertOptions(split="0.5,0.25,0.25"))
    near = [names for names in splits_of(tmp_path / "out").values() if any(name.startswith("near") for name in names)]
    assert len(near) == 1 and "cam0_000.png" in near[0]


def test_equal_files_without_a_look_stay_together(tmp_path: Path) -> None:
    """A flat picture is like any other; a copy of it in another split is refused by validation all the same."""
    source = drawn(tmp_path / "set", 8)
    for number in range(4):
        shade = (10 * (number // 2), 0, 0)
        Image.new("RGB", (160, 120), shade).save(source / "images" / f"flat{number}.png")
    found = convert_dataset(source, tmp_path / "out", ConvertOptions(split="0.5,0.25,0.25"))
    names = splits_of(tmp_path / "out").values()
    assert all(
        len(own & {f"flat{number}.png", f"flat{number + 1}.png"}) in (0, 2) for own in names for number in (0, 2)
    )
    assert [remark.places for remark in found.account.remarks if "near-duplicates" in remark.reason] == [
        ["flat0.png and flat1.png", "flat2.png and flat3.png"]
    ]


def test_a_long_video_of_one_scene_is_one_group() -> None:
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 2**63, dtype=np.uint64)
    frames = [scene ^ (np.uint64(1) << np.uint64(bit)) for bit in rng.permutation(63)]
    pairs = list(near_pairs(np.array([*frames, scene ^ np.uint64(0xFFFFF)], np.uint64)))
    assert {index for pair in pairs for index in pair} == set(range(63)) and len(pairs) <= 5 * 63


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "0.8,0.1"}, "two or three shares whose sum is 1"),
        ({"split": "a,b"}, "two or three shares"),
        ({"split": "0.5,0.5", "group_by": "("}, "not a regular expression"),
        ({"split": "0.5,0.5", "group_by": "^x"}, "fits the name of no image"),
        ({"group_by": "x"}, "--group-by goes with --split"),
        ({"split": "0.4,0.3,0.3"}, "2 groups of images for 3 splits"),
    ],
)
def test_split_mistakes(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        convert_dataset(yolo(tmp_path / "set"), tmp_path / "out", ConvertOptions(**options))


def test_splits_of_the_source_are_not_drawn_again(tmp_path: Path) -> None:
    for split in ("train", "val"):
        yolo(tmp_path / "set", images=f"images/{split}", labels=f"labels/{split}")
    with pytest.raises(UsageError, match="has splits of its own: training, validation"):
        convert_dataset(tmp_path / "set", tmp_path / "out", ConvertOptions(split="0.5,0.5"))


@pytest.mark.parametrize("kind", EXPORTS)
def test_boxes_of_less_than_a_pixel_and_without_area(tmp_path: Path, kind: str) -> None:
    document = tinyset.document(2)
    document["annotations"][0]["bbox"] = [20.2, 20.2, 20.8, 30]
    tinyset.write(tmp_path / "set", document)
    export_dataset(tmp_path / "set", tmp_path / kind, kind)
    convert_dataset(tmp_path / kind, tmp_path / "back")
    assert content(tmp_path / "back") == content(tmp_path / "set")
    document["annotations"][0]["bbox"] = [20, 20, 20, 30]
    tinyset.write(tmp_path / "flat", document)
    losses = [str(loss) for loss in export_dataset(tmp_path / "flat", tmp_path / f"{kind}-flat", kind).losses]
    assert ["has none without area [1 box less]: annotations.json: annotations[0]" in loss for loss in losses] == (
        [True] if kind == "voc" else []
    )
